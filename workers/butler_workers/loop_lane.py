"""Where ``async def`` tasks run: one event loop in a thread, started with the first of them.

An interrupt cancels the task's coroutine. A coroutine that blocks instead of awaiting keeps the
others waiting; `LoopLane.find_blocker` tells which one.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from typing import TYPE_CHECKING, Any

from butler.context import running_context
from butler_workers.attempts import Raised, Returned, conclude_safely

if TYPE_CHECKING:
    from collections.abc import Sequence

    from butler_workers.attempts import Attempt
    from butler_workers.slots import Slots

LOOP_END_S = 1.0
BLOCKED_S = 0.5


class LoopLane:
    """One event loop in a thread, started with the first ``async def`` task."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._asked_at: float | None = None
        self._blamed: asyncio.Task[Any] | None = None

    def start(self, attempts: Sequence[Attempt]) -> None:
        """Run attempts on the loop."""
        self.running().call_soon_threadsafe(self._start_all, list(attempts))

    def stop(self) -> None:
        """End the loop."""
        with self._lock:
            if self._loop is None or self._thread is None or not self._thread.is_alive():
                return
            self._loop.call_soon_threadsafe(self._loop.stop)
        # A task that blocks the loop keeps it, until the process ends.
        self._thread.join(LOOP_END_S)

    def find_blocker(self, now: float) -> tuple[asyncio.Task[Any], float] | None:
        """The task that has kept the loop from turning, and for how long; each is named once.

        To be called now and then: it asks the loop for a sign of life, and looks at the next call
        whether one came.
        """
        loop = self._loop
        if loop is None or not loop.is_running():
            return None
        # Read once: the loop may answer meanwhile.
        asked_at = self._asked_at
        if asked_at is None:
            self._asked_at = now
            loop.call_soon_threadsafe(self._show_life)
            return None
        task = asyncio.current_task(loop)
        if now - asked_at < BLOCKED_S or task is None or task is self._blamed:
            return None
        self._blamed = task
        return task, now - asked_at

    def running(self) -> asyncio.AbstractEventLoop:
        """The loop, started if need be."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._serve, args=[self._loop], name="butler-loop", daemon=True
                )
                self._thread.start()
            return self._loop

    def _show_life(self) -> None:
        self._asked_at = None

    @staticmethod
    def _serve(loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.run_forever()
        finally:
            loop.close()

    def _start_all(self, attempts: list[Attempt]) -> None:
        for attempt in attempts:
            self._start(attempt)

    def _start(self, attempt: Attempt) -> None:
        assert self._loop is not None
        self.start_on(self._loop, attempt)

    def start_on(self, loop: asyncio.AbstractEventLoop, attempt: Attempt) -> asyncio.Task[None]:
        """Run an attempt on a loop, from its own thread."""
        task = loop.create_task(self._run(attempt))
        with attempt.lock:
            attempt.task = task
        return task

    async def _run(self, attempt: Attempt) -> None:
        end: Returned | Raised
        try:
            begun = self._slots.begin(attempt)
            if isinstance(begun, tuple):
                request, context = begun
                running_context.set(context)
                value = attempt.spec.invoke(request, context)
                end = Returned(await value if inspect.isawaitable(value) else value)
                transition = conclude_safely(attempt, end)
            else:
                transition = begun
        except BaseException as error:  # noqa: BLE001 - whatever a task raises ends its attempt
            transition = conclude_safely(attempt, Raised(error))
        with attempt.lock:
            attempt.over = True
        following = self._slots.end(attempt, transition)
        if following is not None:
            if self._slots.in_loop(following):
                self._start(following)
            else:
                self._slots.dispatch([following])
