"""`EventStream`: the answer that goes on until its source ends, or somebody has had enough.

One task sends and one waits for the client to leave; there is no thread and no queue. While it
waits for its source it is woken, at the latest after fifteen seconds, to keep the connection alive,
and every five seconds to ask whether the caller may still see this: a token that is revoked ends
its streams. A client that takes nothing for half a minute is given up.

Rejected: sse-starlette, which has no word for a caller who may no longer see this, and finds out
that the server stops by replacing a method of uvicorn's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Protocol

from starlette.responses import Response

from butler.errors import ButlerError, StorageUnavailable
from butler.log import log_event
from butler.web.live.frames import OPENING
from butler.web.openapi import STREAM

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from butler.web.callers import Caller
    from butler.web.live.open_streams import OpenStreams
    from butler.web.services import Web

logger = logging.getLogger(__name__)

KEEP_ALIVE_S = 15.0
CHECK_S = 5.0
TAKEN_WITHIN_S = 30.0
LAST_WORD_S = 0.2


class Source(Protocol):
    """Where a stream's events come from."""

    async def next(self) -> bytes | None:
        """The next frames, as soon as there are any; None when there will be no more.

        It may be cancelled while it waits and asked again; nothing is lost then.
        """
        ...

    def admit(self, caller: Caller) -> None:
        """The caller was looked up again: this is what exists for them from now on."""
        ...

    def still_here(self) -> bytes:
        """What to send when there has been nothing to tell for a while."""
        ...

    def close(self) -> None:
        """Nobody will ask again; closing twice is fine."""
        ...


class EventStream(Response):
    """Sends what a source gives it; ends by itself after ``timeout_s``."""

    media_type = STREAM

    def __init__(
        self, source: Source, *, web: Web, request: Request, timeout_s: float | None = None
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        # Its length is nobody's to know.
        del self.headers["Content-Length"]
        self._source = source
        self._web = web
        self._request = request
        self._timeout_s = timeout_s
        self._waiting: asyncio.Timeout | None = None
        self._stopped = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; returns when the stream has ended."""
        del scope
        streams: OpenStreams = self._web.streams
        leaving = asyncio.create_task(self._wait_for_leave(receive))
        try:
            with streams.open(self.stop):
                await self._send_all(send)
        finally:
            leaving.cancel()
            self._source.close()

    def stop(self) -> None:
        """End soon; to be called on the stream's event loop."""
        self._stopped = True
        if self._waiting is not None:
            # It may be ending this very moment.
            with contextlib.suppress(RuntimeError):
                self._waiting.reschedule(asyncio.get_running_loop().time())

    async def _wait_for_leave(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.stop()

    async def _send_all(self, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        taken = await self._send(send, OPENING)
        sent_at = checked_at = time.monotonic()
        end_at = float("inf") if self._timeout_s is None else sent_at + self._timeout_s
        while taken and not self._stopped:
            due_at = min(sent_at + KEEP_ALIVE_S, checked_at + CHECK_S, end_at)
            frames = await self._next(due_at)
            now = time.monotonic()
            if frames is None or self._stopped:
                break
            if now >= checked_at + CHECK_S:
                checked_at = now
                if not await self._may_go_on():
                    break
            if not frames and now >= sent_at + KEEP_ALIVE_S:
                frames = self._source.still_here()
            if frames:
                sent_at = now
                taken = await self._send(send, frames)
            if now >= end_at:
                break
        if taken:
            await self._send(send, b"", more=False)

    async def _next(self, due_at: float) -> bytes | None:
        """The source's next frames; empty when it is time for something else."""
        try:
            async with asyncio.timeout(max(due_at - time.monotonic(), 0.0)) as self._waiting:
                return await self._source.next()
        except TimeoutError:
            return b""
        except ButlerError as error:
            # What was followed is gone, or cannot be found out about: the client comes back, and
            # is told then.
            log_event(logger, logging.INFO, "web.stream_failed", error=error)
            return None
        finally:
            self._waiting = None

    async def _send(self, send: Send, frames: bytes, *, more: bool = True) -> bool:
        """Whether the client takes it."""
        within_s = LAST_WORD_S if self._stopped else TAKEN_WITHIN_S
        try:
            async with asyncio.timeout(within_s) as self._waiting:
                await send({"type": "http.response.body", "body": frames, "more_body": more})
        except TimeoutError:
            if not self._stopped:
                log_event(logger, logging.WARNING, "web.stream_not_taken", after_s=within_s)
            return False
        except OSError:
            return False
        finally:
            self._waiting = None
        return True

    async def _may_go_on(self) -> bool:
        try:
            caller = await self._web.gate.again(self._request)
        except StorageUnavailable:
            # Nothing new can be learned about tokens, nor about executions.
            return True
        except ButlerError:  # it was closed under us
            return False
        if caller is None:
            return False
        self._source.admit(caller)
        return True
