"""`Blocking`: takes the steps of conversations with httpx, blocking the thread."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Any, TypeVar

from butler.client.replies import answer_of, arguments_of, is_left_open, need_httpx, unanswered
from butler.client.steps import Done, Item, Pause, ReadLine, Send, Shut, advance

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from butler.client.exchange import Manner
    from butler.client.steps import Answer, Step, Talk, Unanswered

T = TypeVar("T")


class Blocking:
    """The connections of a `ButlerClient`. ``http`` is the caller's own, and stays his to close.

    Safe to use from many threads; connections are made at first use, and anew after a fork.
    """

    blocks = True

    def __init__(self, manner: Manner, *, http: httpx.Client | None) -> None:
        self.manner = manner
        self._given = http
        self._made: httpx.Client | None = None
        self._made_in: int | None = None

    def take(self, talk: Talk[T]) -> T:
        """Take every step, and return what comes of it."""
        reply: Any = None
        with contextlib.closing(_Steps(self._http, url=self.manner.url)) as steps:
            while not isinstance(step := advance(talk, reply), Done):
                reply = steps.take(step)
            return step.value

    def iterate(self, talk: Talk[Any]) -> Iterator[Any]:
        """Yield each item; what the conversation has open is closed with the iterator."""
        reply: Any = None
        with contextlib.closing(_Steps(self._http, url=self.manner.url)) as steps:
            while not isinstance(step := advance(talk, reply), Done):
                reply = steps.take(step)
                if isinstance(step, Item):
                    yield step.value

    def close(self) -> None:
        """Close the connections that were made here; they are made again when they are needed."""
        made, self._made = self._made, None
        if made is not None and self._made_in == os.getpid():
            made.close()

    @property
    def _http(self) -> httpx.Client:
        if self._given is not None:
            return self._given
        if self._made is None or self._made_in != os.getpid():
            # Two threads at once make two, of which one is never used: that costs nothing.
            self._made, self._made_in = need_httpx().Client(), os.getpid()
        return self._made


class _Steps:
    """The steps of one conversation, and the stream that it may have open."""

    def __init__(self, http: httpx.Client, *, url: str) -> None:
        self._http = http
        self._url = url
        self._open = contextlib.ExitStack()
        self._lines: Iterator[str] = iter(())

    def take(self, step: Step) -> Answer | Unanswered | str | None:
        """What comes of a step."""
        match step:
            case Send():
                return self._send(step)
            case Pause():
                time.sleep(step.seconds)
            case ReadLine():
                return self._read_line()
            case Shut():
                self.close()
            case Item():
                pass
        return None

    def close(self) -> None:
        """Close the stream, if one is open."""
        self._lines = iter(())
        self._open.close()

    def _send(self, send: Send) -> Answer | Unanswered:
        self.close()
        try:
            with contextlib.ExitStack() as sending:
                stream = self._http.stream(**arguments_of(send, url=self._url))
                response: httpx.Response = sending.enter_context(stream)
                if not is_left_open(send, response):
                    return answer_of(response, response.read())
                self._open, self._lines = sending.pop_all(), response.iter_lines()
                return answer_of(response)
        except need_httpx().RequestError as error:
            return unanswered(error)

    def _read_line(self) -> str | None:
        try:
            return next(self._lines, None)
        except need_httpx().RequestError:
            return None
