"""`Awaiting`: takes the steps of conversations with httpx, for coroutines."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Any, TypeVar

from butler.client.replies import answer_of, arguments_of, is_left_open, need_httpx, unanswered
from butler.client.steps import Done, Item, Pause, ReadLine, Send, Shut, advance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from butler.client.exchange import Manner
    from butler.client.steps import Answer, Step, Talk, Unanswered

T = TypeVar("T")


class Awaiting:
    """The connections of an `AsyncButlerClient`; as `Blocking`, for one event loop."""

    blocks = False

    def __init__(self, manner: Manner, *, http: httpx.AsyncClient | None) -> None:
        self.manner = manner
        self._given = http
        self._made: httpx.AsyncClient | None = None
        self._made_in: int | None = None

    async def take(self, talk: Talk[T]) -> T:
        """Take every step, and return what comes of it."""
        reply: Any = None
        async with contextlib.aclosing(_Steps(self._http, url=self.manner.url)) as steps:
            while not isinstance(step := advance(talk, reply), Done):
                reply = await steps.take(step)
            return step.value

    async def iterate(self, talk: Talk[Any]) -> AsyncIterator[Any]:
        """Yield each item; what the conversation has open is closed with the iterator."""
        reply: Any = None
        async with contextlib.aclosing(_Steps(self._http, url=self.manner.url)) as steps:
            while not isinstance(step := advance(talk, reply), Done):
                reply = await steps.take(step)
                if isinstance(step, Item):
                    yield step.value

    async def close(self) -> None:
        """Close the connections that were made here; they are made again when they are needed."""
        made, self._made = self._made, None
        if made is not None and self._made_in == os.getpid():
            await made.aclose()

    @property
    def _http(self) -> httpx.AsyncClient:
        if self._given is not None:
            return self._given
        if self._made is None or self._made_in != os.getpid():
            self._made, self._made_in = need_httpx().AsyncClient(), os.getpid()
        return self._made


class _Steps:
    """The steps of one conversation, and the stream that it may have open."""

    def __init__(self, http: httpx.AsyncClient, *, url: str) -> None:
        self._http = http
        self._url = url
        self._open = contextlib.AsyncExitStack()
        self._lines: AsyncIterator[str] | None = None

    async def take(self, step: Step) -> Answer | Unanswered | str | None:
        """What comes of a step."""
        match step:
            case Send():
                return await self._send(step)
            case Pause():
                await asyncio.sleep(step.seconds)
            case ReadLine():
                return await self._read_line()
            case Shut():
                await self.aclose()
            case Item():
                pass
        return None

    async def aclose(self) -> None:
        """Close the stream, if one is open."""
        self._lines = None
        await self._open.aclose()

    async def _send(self, send: Send) -> Answer | Unanswered:
        await self.aclose()
        try:
            async with contextlib.AsyncExitStack() as sending:
                stream = self._http.stream(**arguments_of(send, url=self._url))
                response: httpx.Response = await sending.enter_async_context(stream)
                if not is_left_open(send, response):
                    return answer_of(response, await response.aread())
                self._open, self._lines = sending.pop_all(), response.aiter_lines()
                return answer_of(response)
        except need_httpx().RequestError as error:
            return unanswered(error)

    async def _read_line(self) -> str | None:
        if self._lines is None:
            return None
        try:
            return await anext(self._lines, None)
        except need_httpx().RequestError:
            return None
