"""`OpenStreams`: the streams that an application has open, so that they can be ended together."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from butler.web.live.stopping import LOOK_EVERY_S, server_is_stopping
from butler.web.problems import TOO_MANY_STREAMS, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Stop = Callable[[], None]

MAX_STREAMS = 2_000


class OpenStreams:
    """Counts streams, and ends them when the server stops. For event loops' threads."""

    def __init__(self) -> None:
        self._stops: dict[Stop, asyncio.AbstractEventLoop] = {}
        self._closed = False
        self._watch: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._stops)

    def check_room(self) -> None:
        """Raise a `Problem` when this process is to open no more."""
        if self._closed or len(self._stops) >= MAX_STREAMS:
            detail = f"{len(self._stops)} streams are open here, or the server is stopping"
            raise Problem(TOO_MANY_STREAMS, detail, headers={"Retry-After": "1"})

    @contextlib.contextmanager
    def open(self, stop: Stop) -> Iterator[None]:
        """While a stream is open; ``stop`` ends it."""
        self._stops[stop] = asyncio.get_running_loop()
        if self._closed:
            stop()
        if self._watch is None:
            self._watch = asyncio.create_task(self._end_with_server())
        try:
            yield
        finally:
            del self._stops[stop]
            self._rest()

    async def _end_with_server(self) -> None:
        while not self._closed:
            if server_is_stopping():
                self.close()
            await asyncio.sleep(LOOK_EVERY_S)

    def _rest(self) -> None:
        """Nobody needs to look after no streams."""
        watch = self._watch
        if watch is not None and not self._stops:
            self._watch = None
            with contextlib.suppress(RuntimeError):  # its loop is closed
                watch.get_loop().call_soon_threadsafe(watch.cancel)

    def close(self) -> None:
        """End all streams, and open no more."""
        self._closed = True
        for stop, loop in list(self._stops.items()):
            loop.call_soon_threadsafe(stop)
