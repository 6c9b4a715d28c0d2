"""The slots of one worker process: where attempts run.

``async def`` tasks share one event loop in a thread of its own; ``def`` tasks run in threads, made
when they are first needed. Both draw on the same number of slots, so that ``--concurrency 1``
means one task at a time whatever its form.

This class counts and hands out the slots, and knows how an attempt begins and ends; how it runs
in between is the lanes' business (`thread_lane`, `loop_lane`, and `isolation` for processes).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

from butler.context import TaskContext
from butler.errors import AttemptCancelled, InvalidRequest, TaskTimeout
from butler.log import log_event
from butler_workers.attempts import (
    GRACE_S,
    Interrupt,
    Raised,
    conclude_safely,
    refuse_request,
)
from butler_workers.loop_lane import LoopLane
from butler_workers.thread_lane import ThreadLane, raise_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence
    from concurrent.futures import Future

    from butler.app import Butler
    from butler.clock import Clock
    from butler.lifecycle import Transition
    from butler_workers.attempts import Attempt
    from butler_workers.isolation import ProcessPool
    from butler_workers.started import StartedTable

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Slots:
    """Runs attempts, at most ``size`` at once; what waits beyond that is started in order.

    ``on_end`` is called once an attempt, from the thread that ran it, with its transition.
    Without a ``pool`` attempts that ask for a process of their own run here like others.
    """

    def __init__(
        self,
        size: int,
        *,
        butler: Butler,
        clock: Clock,
        on_end: Callable[[Attempt, Transition | None], None],
        pool: ProcessPool | None = None,
        started: StartedTable | None = None,
        grace_s: float = GRACE_S,
    ) -> None:
        self.size = size
        self.pool = pool
        self._started = started
        self._grace_s = grace_s
        self.ended = 0
        self._butler = butler
        self._clock = clock
        self._on_end = on_end
        self._lock = threading.Lock()
        self._waiting: deque[Attempt] = deque()
        self._busy = 0
        self._threads = ThreadLane(self)
        self._loop = LoopLane(self)
        self._room = threading.Event()
        self._low_water = 0

    def all_taken(self) -> int:
        """How many slots there are, if none is free; else 0."""
        return self.size if self._busy >= self.size else 0

    @property
    def in_flight(self) -> int:
        """Attempts that are running or waiting for a slot."""
        return self._busy + len(self._waiting)

    def submit(self, attempts: Sequence[Attempt]) -> None:
        """Run these as soon as there are slots."""
        with self._lock:
            self._waiting.extend(attempts)
            starting = []
            while self._busy < self.size and self._waiting:
                starting.append(self._waiting.popleft())
                self._busy += 1
        self.dispatch(starting)

    def wait_for_room(self, low_water: int, timeout_s: float) -> bool:
        """Block until no more than ``low_water`` attempts are in flight."""
        with self._lock:
            if self.in_flight <= low_water:
                return True
            self._low_water = low_water
            self._room.clear()
        return self._room.wait(timeout_s)

    def take_waiting(self, older_than: float | None = None) -> list[Attempt]:
        """Take back attempts that were not started (claimed before a monotonic time, or all)."""
        with self._lock:
            taken = [a for a in self._waiting if older_than is None or a.claimed_at < older_than]
            for attempt in taken:
                self._waiting.remove(attempt)
        return taken

    def interrupt(self, attempt: Attempt, kind: Interrupt, reason: str) -> None:
        """Ask an attempt to end; a timeout is also raised in a thread that runs it.

        A cancel leaves a thread the grace to end in its own way: see `insist`.
        """
        with attempt.lock:
            if attempt.over or attempt.interrupt is not None:
                return
            attempt.interrupt = kind
            attempt.control.request_cancel(reason)
            if attempt.process is not None:
                attempt.process.interrupt(kind, reason)
                return
            if kind is Interrupt.CANCEL and not (self.pool and attempt.in_process):
                self._bound(attempt)
            if attempt.task is not None:
                attempt.task.get_loop().call_soon_threadsafe(attempt.task.cancel)
            elif kind is Interrupt.TIMEOUT:
                self._throw(attempt, TaskTimeout)

    def insist(self, attempt: Attempt) -> None:
        """It was cancelled, and goes on after the grace: interrupt it as a timeout would, once.

        After as long again the supervisor ends the process.
        """
        with attempt.lock:
            if attempt.over or attempt.thrown:
                return
            if attempt.task is not None:
                attempt.thrown = True
                attempt.task.get_loop().call_soon_threadsafe(attempt.task.cancel)
            else:
                self._throw(attempt, AttemptCancelled)

    @staticmethod
    def _throw(attempt: Attempt, error: type[BaseException]) -> None:
        if attempt.thread_id is not None:
            attempt.thrown = True
            raise_in_thread(attempt.thread_id, error)

    def _bound(self, attempt: Attempt) -> None:
        attempt.end_by(self._clock.monotonic() + self._grace_s)
        if self._started is not None and attempt.entry is not None:
            assert attempt.deadline is not None
            self._started.limit(attempt.entry, attempt.deadline + self._grace_s)

    def run_here(self, attempt: Attempt) -> None:
        """Run a ``def`` task's attempt in the calling thread, whatever slots are free."""
        with self._lock:
            self._busy += 1
        self._threads.run(attempt)

    async def arun_here(self, attempt: Attempt) -> None:
        """Run an ``async def`` task's attempt on the calling loop, whatever slots are free."""
        with self._lock:
            self._busy += 1
        await self._loop.start_on(asyncio.get_running_loop(), attempt)

    def run_in_loop(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run something else on the event loop of the tasks, from another thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop.running())

    def in_loop(self, attempt: Attempt) -> bool:
        """Whether an attempt runs on the event loop; a thread runs it or waits for it otherwise."""
        return attempt.spec.is_async and not (self.pool and attempt.in_process)

    def warn_of_blocked_loop(self, attempts: Iterable[Attempt], now: float) -> None:
        """Log which ``async def`` task keeps the event loop from turning, if one does."""
        blocker = self._loop.find_blocker(now)
        if blocker is None:
            return
        task, blocked_s = blocker
        for attempt in attempts:
            if attempt.task is task:
                log_event(
                    logger,
                    logging.WARNING,
                    "loop.blocked",
                    id=attempt.claimed.id,
                    task=attempt.claimed.task,
                    seconds=round(blocked_s, 1),
                    hint="await instead of blocking, or make it a plain def",
                )

    def shrink(self) -> None:
        """Give back what a burst has taken and nobody needs any more; never waits."""
        if self.pool is not None:
            self.pool.shrink()

    def stop(self) -> None:
        """End the lanes' threads; running ``def`` tasks die with the process."""
        self._threads.stop()
        self._loop.stop()
        if self.pool is not None:
            self.pool.stop()

    def _next(self) -> Attempt | None:
        """The calling lane's slot is free: the attempt to run in it, else the slot is given up."""
        with self._lock:
            self.ended += 1
            following = self._waiting.popleft() if self._waiting else None
            if following is None:
                self._busy -= 1
            # Asking costs a tenth of telling again who has been told.
            if self.in_flight <= self._low_water and not self._room.is_set():
                self._room.set()
        return following

    def dispatch(self, attempts: Sequence[Attempt]) -> None:
        """Run attempts that have a slot, each in its lane."""
        coroutines = [a for a in attempts if self.in_loop(a)]
        if coroutines:
            self._loop.start(coroutines)
        for attempt in attempts:
            if not self.in_loop(attempt):
                self._threads.start(attempt)

    def begin(self, attempt: Attempt) -> tuple[Any, TaskContext] | Transition | None:
        """Decode the request and start the attempt's clock, or say how it ended already."""
        claimed, spec = attempt.claimed, attempt.spec
        with attempt.lock:
            if attempt.interrupt is None:
                self._start_clock(attempt)
        if attempt.started_at is None:
            return conclude_safely(
                attempt, Raised(AttemptCancelled("interrupted before it started"))
            )
        try:
            request = spec.request.decode(claimed.request)
        except InvalidRequest as error:
            return refuse_request(claimed, spec, error)
        return request, TaskContext(claimed, attempt.control, self._butler, attempt.deadline)

    def _start_clock(self, attempt: Attempt) -> None:
        attempt.started_at = self._clock.monotonic()
        # The clock of one with a process of its own starts when that is ready: see `isolation`.
        if not (self.pool and attempt.in_process):
            attempt.start_clock(attempt.started_at)
        if self._started is not None:
            self._note_start(attempt)

    def _note_start(self, attempt: Attempt) -> None:
        """Before the task's first line: a crash must find what was running."""
        assert self._started is not None
        until = None if attempt.deadline is None else attempt.deadline + self._grace_s
        claimed = attempt.claimed
        attempt.entry = self._started.start(claimed.id, claimed.attempt, until)

    def end(self, attempt: Attempt, transition: Transition | None) -> Attempt | None:
        """An attempt is over; returns the one to run next in its slot."""
        if self._started is not None and attempt.entry is not None:
            self._started.end(attempt.entry)
        self._on_end(attempt, transition)
        return self._next()
