"""What a running task sees of its own execution.

`TaskContext` is the user's side; the worker's is `butler.attempt_control.AttemptControl`. One is
made for every attempt, so it makes nothing that is not needed.
"""

from __future__ import annotations

import logging
import time
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, overload

from butler.clock import SYSTEM_CLOCK
from butler.durations import seconds
from butler.errors import AttemptCancelled, ButlerError
from butler.producing import Producer

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterable,
        AsyncIterator,
        Awaitable,
        Callable,
        Generator,
        Iterable,
        Iterator,
        MutableMapping,
        Sequence,
    )
    from datetime import datetime

    from butler.app import Butler
    from butler.attempt_control import AttemptControl
    from butler.clock import Clock
    from butler.handles import Handle
    from butler.joining import Transaction
    from butler.producing import Order, Parent
    from butler.storage.records import Claimed

T = TypeVar("T")

TASK_LOGGERS = "butler.task"

# A blocked thread takes an exception from outside (TaskTimeout) only between two waits.
_SLICE_S = 0.25

running_context: ContextVar[TaskContext] = ContextVar("butler_running_context")
"""The context of the task that runs here; the worker sets it around each attempt."""


def current_context() -> TaskContext:
    """The context of the running task, from anywhere in what it calls.

    Raises `ButlerError` outside a task, and in a thread the task started itself (unless it ran
    that in ``contextvars.copy_context()``).
    """
    try:
        return running_context.get()
    except LookupError:
        raise ButlerError(
            "current_context() was called outside a running task; a thread of your own needs the "
            "context passed to it, or contextvars.copy_context().run(...)"
        ) from None


class TaskContext(Producer):
    """What a task may know and do about its own execution."""

    __slots__ = ("_butler", "_claimed", "_clock", "_control", "_deadline", "_log")

    def __init__(
        self,
        claimed: Claimed,
        control: AttemptControl,
        butler: Butler,
        deadline_monotonic: float | None,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._claimed = claimed
        self._control = control
        self._butler = butler
        self._deadline = deadline_monotonic
        self._clock = clock
        self._log: TaskLog | None = None

    @property
    def execution_id(self) -> str:
        """The id of this execution; the same for each of its attempts."""
        return self._claimed.id

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1; it only grows."""
        return self._claimed.attempt

    @property
    def traceparent(self) -> str | None:
        """The span of the attempt before, or of the enqueue; W3C's header, None where untraced.

        What it is set to is told to the next attempt, if there is one.
        """
        return self._claimed.traceparent

    @traceparent.setter
    def traceparent(self, own: str | None) -> None:
        self._control.traceparent = own

    @property
    def max_attempts(self) -> int:
        """How many attempts may count before a failure is final."""
        return self._claimed.max_attempts

    @property
    def task(self) -> str:
        """The name under which it was enqueued."""
        return self._claimed.task

    @property
    def queue(self) -> str:
        """The queue it came from."""
        return self._claimed.queue

    @property
    def user_id(self) -> str | None:
        """On whose behalf it runs, as the producer said."""
        return self._claimed.user_id

    @property
    def tags(self) -> tuple[str, ...]:
        """The task's tags and those of the enqueue."""
        return self._claimed.tags

    @property
    def parent_id(self) -> str | None:
        """The execution that enqueued this one, if one did."""
        return self._claimed.parent_id

    @property
    def log(self) -> TaskLog:
        """A logger named ``butler.task.<task>``; what it logs is kept with the execution.

        So is what any other logger logs while the task runs: see docs/logs.md.
        """
        if self._log is None:
            self._log = TaskLog(self._claimed)
        return self._log

    @property
    def state(self) -> Any:
        """What the Butler's lifespan yielded in this process; raises `ButlerError` without one."""
        return self._butler.state

    @property
    def cancelled(self) -> bool:
        """Whether this attempt was asked to end; look now and then in a long loop."""
        return self._control.cancel_requested

    @property
    def deadline(self) -> datetime | None:
        """When ``timeout_s`` is over, aware, in UTC; None without a timeout."""
        if self._deadline is None:
            return None
        left_s = self._deadline - self._clock.monotonic()
        return self._clock.now() + timedelta(seconds=left_s)

    def raise_if_cancelled(self) -> None:
        """Raise `AttemptCancelled` when this attempt was asked to end."""
        if self._control.cancel_requested:
            raise AttemptCancelled(self._control.reason or "the execution was cancelled")

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Have ``callback()`` called once when this attempt is asked to end; at once if it was.

        For what the task waits in and that knows nothing of its context: close the connection,
        terminate the process. It is called from another thread, so it must be quick and may not
        touch the event loop; what it raises is logged.
        """
        self._control.on_cancel(callback)

    def report_progress(self, percent: float, message: str | None = None) -> None:
        """Say how far it is, in 0..100; costs microseconds, the newest one is written.

        Raises `InvalidOption` for another percent. A message is cleaned and cut, never refused.
        """
        self._control.report(percent, message)

    def sleep(self, duration_s: float | timedelta) -> Awaitable[None]:
        """Pause; raises `AttemptCancelled` as soon as a cancel is requested.

        In an ``async def`` task write ``await context.sleep(s)``; in a ``def`` task the call
        itself blocks.
        """
        total_s = seconds("duration_s", duration_s)
        if _in_event_loop():
            return self._sleep_async(total_s)
        end = time.monotonic() + total_s
        self.raise_if_cancelled()
        while (left_s := end - time.monotonic()) > 0:
            self._control.wait_cancelled(min(left_s, _SLICE_S))
            self.raise_if_cancelled()
        return _DONE

    @overload
    def track(
        self, items: Iterable[T], *, total: int | None = None, message: str | None = None
    ) -> Iterator[T]: ...

    @overload
    def track(
        self, items: AsyncIterable[T], *, total: int | None = None, message: str | None = None
    ) -> AsyncIterator[T]: ...

    def track(self, items: Any, *, total: int | None = None, message: str | None = None) -> Any:
        """The items, one by one, with progress reported and cancellation raised between them.

        ``total`` defaults to ``len(items)``; without either no percent is reported.
        """
        if total is None:
            total = len(items) if hasattr(items, "__len__") else 0
        if hasattr(items, "__aiter__"):
            return self._track_async(items, total, message)
        return self._track(items, total, message)

    def _track(self, items: Iterable[T], total: int, message: str | None) -> Iterator[T]:
        for done, item in enumerate(items, start=1):
            self.raise_if_cancelled()
            yield item
            self._report_items(done, total, message)

    async def _track_async(
        self, items: AsyncIterable[T], total: int, message: str | None
    ) -> AsyncIterator[T]:
        done = 0
        async for item in items:
            self.raise_if_cancelled()
            yield item
            done += 1
            self._report_items(done, total, message)

    def _report_items(self, done: int, total: int, message: str | None) -> None:
        if total > 0:
            self._control.report(min(100.0, 100.0 * done / total), message)

    async def _sleep_async(self, duration_s: float) -> None:
        await self._control.cancelled_within(duration_s)
        self.raise_if_cancelled()

    def _place(
        self,
        orders: Sequence[Order],
        *,
        parent: Parent | None = None,
        transaction: Transaction | None = None,
    ) -> list[Handle[Any]]:
        parent = parent or self._as_parent()
        return self._butler._place(orders, parent=parent, transaction=transaction)  # noqa: SLF001

    async def _aplace(
        self,
        orders: Sequence[Order],
        *,
        parent: Parent | None = None,
        transaction: Transaction | None = None,
    ) -> list[Handle[Any]]:
        parent = parent or self._as_parent()
        place = self._butler._aplace  # noqa: SLF001
        return await place(orders, parent=parent, transaction=transaction)

    def _as_parent(self) -> Parent:
        from butler.producing import Parent

        return Parent(execution_id=self._claimed.id, user_id=self._claimed.user_id)


class TaskLog(logging.LoggerAdapter[logging.Logger]):
    """A running task's logger; its records carry ``execution_id``, ``attempt`` and ``task``."""

    def __init__(self, claimed: Claimed) -> None:
        about = {
            "execution_id": claimed.id,
            "attempt": claimed.attempt,
            "task": claimed.task,
        }
        super().__init__(logging.getLogger(f"{TASK_LOGGERS}.{claimed.task}"), about)

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """With what the caller passes as ``extra`` besides, which an adapter would drop."""
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


class _Done:
    """An awaitable with nothing left to wait for: a ``def`` task need not await it."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, None]:
        return
        yield


_DONE = _Done()


def _in_event_loop() -> bool:
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
