"""`AttemptControl`: the worker's side of one running attempt.

Shared by the thread (or coroutine) that runs the task and by those that cancel it and collect what
it says. One is made for every attempt, so it makes nothing that is not needed: no event before
somebody waits, no cleaned text before somebody takes it, nothing for lines before the first one.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from butler.errors import InvalidOption
from butler.log import log_event
from butler.log_buffer import LogBuffer
from butler.text import clean_text

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from butler.log_buffer import Entry

logger = logging.getLogger(__name__)

MAX_MESSAGE_CHARS = 1_000

# For the first line of an attempt. Reentrant: under it memory may be collected, and what goes logs.
_beginning = threading.RLock()


class AttemptControl:
    """The strings that lead to one running attempt; safe to pull from any thread."""

    __slots__ = (
        "_cancelled",
        "_event",
        "_lines",
        "_lock",
        "_progress",
        "_untold",
        "_wakers",
        "on_line",
        "reason",
        "slots_taken",
        "traceparent",
    )

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self._event: threading.Event | None = None
        self._wakers: list[_Waker | _Callback] | None = None
        self._progress: tuple[float, object] | None = None
        self._untold: tuple[float, object] | None = None
        self._lines: LogBuffer | None = None
        self.reason: str | None = None
        self.traceparent: str | None = None
        """The span it runs in, once a middleware has said so; W3C's header."""
        self.on_line: Callable[[], None] | None = None
        """Set by a worker: called when there is a line to be taken. Must take no lock that others
        need: a time-out may be thrown into it."""
        self.slots_taken: Callable[[], int] | None = None
        """Set by a worker: how many slots it has if all are taken, else 0."""

    @property
    def cancel_requested(self) -> bool:
        """Whether the attempt was asked to end."""
        return self._cancelled

    def request_cancel(self, reason: str) -> None:
        """Ask the attempt to end; wakes whatever waits in it. The first reason stays."""
        with self._lock:
            if self._cancelled:
                return
            self.reason = reason
            self._cancelled = True
            event, wakers = self._event, self._wakers
            self._wakers = None
        if event is not None:
            event.set()
        for waker in wakers or ():
            waker.wake()

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Have this called, by whoever cancels, when a cancel is requested; at once if one was."""
        waker = _Callback(callback)
        with self._lock:
            if not self._cancelled:
                self._wakers = [*(self._wakers or ()), waker]
                return
        waker.wake()

    def wait_cancelled(self, timeout_s: float) -> bool:
        """Block until a cancel is requested, at most ``timeout_s``; whether one was."""
        with self._lock:
            if self._cancelled:
                return True
            if self._event is None:
                self._event = threading.Event()
            event = self._event
        return event.wait(timeout_s)

    async def cancelled_within(self, timeout_s: float) -> bool:
        """As `wait_cancelled`, for a coroutine."""
        import asyncio

        loop = asyncio.get_running_loop()
        waker = _Waker(loop)
        with self._lock:
            if self._cancelled:
                return True
            if self._wakers is None:
                self._wakers = []
            self._wakers.append(waker)
        timer = loop.call_later(timeout_s, waker.resolve)
        try:
            await waker.future
        finally:
            timer.cancel()
            with self._lock:
                if self._wakers is not None:
                    self._wakers.remove(waker)
        return self._cancelled

    def report(self, percent: float, message: object = None) -> None:
        """Keep the newest progress; raises `InvalidOption` for a percent outside 0..100."""
        # False for NaN as well.
        if not 0 <= percent <= 100:
            raise InvalidOption(f"percent must be in 0..100, got {percent!r}")
        with self._lock:
            self._progress = self._untold = (percent, message)

    def take_progress(self) -> tuple[float, str | None] | None:
        """The newest progress that was not taken yet, its message cleaned; else None."""
        with self._lock:
            progress, self._progress = self._progress, None
        if progress is None:
            return None
        return _cleaned(progress)

    def untold_progress(self) -> tuple[float, str | None] | None:
        """The newest progress if it was not asked for here yet, taken or not."""
        with self._lock:
            progress, self._untold = self._untold, None
        return None if progress is None else _cleaned(progress)

    def log(self, level: int, logger: str, message: str, *, created: float) -> None:
        """Keep a line that the task has logged at this time (Unix, in seconds)."""
        (self._lines or self._begin_lines()).add(level, logger, message, created=created)
        if self.on_line is not None:
            self.on_line()

    def print(self, logger: str, text: str, *, created: float) -> None:
        """Keep what the task has written to a stream, line by line."""
        (self._lines or self._begin_lines()).write(logger, text, created=created)
        if self.on_line is not None:
            self.on_line()

    def end_lines(self) -> None:
        """The task is over: a line that it has not ended is one now."""
        if self._lines is not None:
            self._lines.end_lines()

    def send_lines_to(self, sink: Callable[[Entry], None]) -> None:
        """Give each line away at once, from the thread that logs it; what is cut is still taken."""
        self._lines = LogBuffer(sink)

    def take_lines(self) -> Sequence[Entry]:
        """The lines that were not taken yet, and how many were cut where that has changed."""
        return () if self._lines is None else self._lines.take()

    def return_lines(self, entries: Sequence[Entry]) -> None:
        """Have these taken once more, before what came since."""
        (self._lines or self._begin_lines()).give_back(entries)

    def receive_line(self, entry: Entry) -> None:
        """Keep a line that the attempt has logged in another process."""
        (self._lines or self._begin_lines()).receive(entry)
        if self.on_line is not None:
            self.on_line()

    def _begin_lines(self) -> LogBuffer:
        with _beginning:
            if self._lines is None:
                self._lines = LogBuffer()
            return self._lines

    def slots_without_room(self) -> int:
        """How many slots its worker has, if all are taken and this was not asked before; else 0."""
        taken = 0 if self.slots_taken is None else self.slots_taken()
        if taken:
            self.slots_taken = None
        return taken

    @property
    def has_progress(self) -> bool:
        """Whether there is progress to be taken."""
        return self._progress is not None

    @property
    def has_lines(self) -> bool:
        """Whether the task has logged anything."""
        return self._lines is not None


def _cleaned(progress: tuple[float, object]) -> tuple[float, str | None]:
    percent, message = progress
    text = None if message is None else clean_text(message, MAX_MESSAGE_CHARS)
    return float(percent), text


class _Waker:
    """A future that any thread may resolve."""

    __slots__ = ("_loop", "future")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.future: asyncio.Future[None] = loop.create_future()

    def resolve(self) -> None:
        """To be called in the loop's own thread."""
        if not self.future.done():
            self.future.set_result(None)

    def wake(self) -> None:
        """To be called from any thread."""
        try:
            self._loop.call_soon_threadsafe(self.resolve)
        except RuntimeError:
            # The loop has ended, and with it the attempt that waited.
            return


class _Callback:
    """What a task wants to have done about its cancel."""

    __slots__ = ("_callback",)

    def __init__(self, callback: Callable[[], object]) -> None:
        self._callback = callback

    def wake(self) -> None:
        """Call it; what it raises is logged, because who cancels has more to do."""
        try:
            self._callback()
        except Exception as error:  # noqa: BLE001 - it is the application's
            log_event(logger, logging.WARNING, "task.on_cancel_failed", error=repr(error))
