"""`ExecutionStream`: the steps of one execution, one after the other, for ``for`` or ``async for``.

One class for both, because ``handle.events()`` cannot know which it will be used in, and a second
method with another name would only be a second thing to know.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Self

from butler.blocking import warn_if_loop_blocked
from butler.changes import ExecutionChange
from butler.errors import ExecutionNotFound, WaitTimeout
from butler.ids import is_id
from butler.listening.watchers import MAX_LINES_KEPT, StepWatcher

if TYPE_CHECKING:
    from collections.abc import Callable

    from butler.clock import Clock
    from butler.listening import Listener


class ExecutionStream(Iterator[ExecutionChange], AsyncIterator[ExecutionChange]):
    """Yields how an execution stands, then each change, and ends after its end.

    Nothing is asked before the first step is taken. Of progress a slow reader gets the newest.
    Raises `ExecutionNotFound`, `WaitTimeout` when ``timeout_s`` is over, counted from the first
    step, and `StorageUnavailable` when the ledger is away at the beginning (later it is waited
    for). One reader at a time; at most ``lines_kept`` log lines wait for it.
    """

    def __init__(
        self,
        execution_id: str,
        *,
        listener: Callable[[], Listener],
        clock: Clock,
        timeout_s: float | None,
        lines_kept: int = MAX_LINES_KEPT,
    ) -> None:
        self._listener: Listener | None = None
        self._find_listener = listener
        self._timeout_s = timeout_s
        self._watcher = StepWatcher(execution_id, clock=clock, lines_kept=lines_kept)
        self._until: float | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ExecutionChange:
        warn_if_loop_blocked("a for loop over handle.events()", awaited="async for")
        self._begin()
        while not self._watcher.over:
            step = self._watcher.take()
            if step is not None:
                return step
            ready = threading.Event()
            self._watcher.wake_by(ready.set)
            if not ready.wait(self._left_s()):
                self._give_up()
        raise StopIteration

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ExecutionChange:
        self._begin()
        while not self._watcher.over:
            step = self._watcher.take()
            if step is not None:
                return step
            if not await self._wait():
                self._give_up()
        raise StopAsyncIteration

    def close(self) -> None:
        """Hear no more of it; done by itself at the end, and when the stream is let go of."""
        if self._listener is not None:
            self._listener.unwatch(self._watcher)

    def __del__(self) -> None:
        self.close()

    def _begin(self) -> None:
        if self._listener is None:
            if not is_id(self._watcher.execution_id):
                raise ExecutionNotFound(self._watcher.execution_id)
            self._listener = self._find_listener()
            if self._timeout_s is not None:
                self._until = time.monotonic() + self._timeout_s
            self._listener.watch(self._watcher)

    async def _wait(self) -> bool:
        """Whether there is something to take; False when the time is over."""
        loop = asyncio.get_running_loop()
        ready = loop.create_future()

        def resolve() -> None:
            if not ready.done():
                ready.set_result(None)

        def wake() -> None:
            # A loop that has ended has nobody in it who waits.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(resolve)

        self._watcher.wake_by(wake)
        done, _ = await asyncio.wait((ready,), timeout=self._left_s())
        return bool(done)

    def _left_s(self) -> float | None:
        return None if self._until is None else max(self._until - time.monotonic(), 0.0)

    def _give_up(self) -> None:
        self.close()
        raise WaitTimeout(
            f"execution {self._watcher.execution_id} is not over after {self._timeout_s:g} s; "
            "it goes on"
        )
