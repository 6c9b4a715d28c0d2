"""The slots of one worker process: where attempts run.

``async def`` tasks share one event loop in a thread of its own; ``def`` tasks run in threads, made
when they are first needed. Both draw on the same number of slots, so that ``--concurrency 1``
means one task at a time whatever its form.

A thread that ends an attempt takes the next waiting one itself: for short tasks the hand-over
between threads would cost more than the work. An executor with a future an attempt was measured
at four times the cost.

Interrupts. A coroutine is cancelled. A thread gets `TaskTimeout` raised in it, which Python does
at its next bytecode: it cannot reach a blocking C call. `Attempt.lock` makes sure that it is only
thrown while that thread still runs that attempt; one that arrives too late is swallowed here.
"""

from __future__ import annotations

import asyncio
import ctypes
import inspect
import logging
import random
import threading
from collections import deque
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from butler.context import TaskContext, running_context
from butler.errors import AttemptCancelled, InvalidRequest, TaskInterrupted, TaskTimeout
from butler.lifecycle import fail
from butler.log import log_event
from butler.text import describe_error
from butler_workers.attempts import GRACE_S, Interrupt, Raised, Returned, conclude, refuse_request

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from concurrent.futures import Future

    from butler.app import Butler
    from butler.clock import Clock
    from butler.lifecycle import Transition
    from butler_workers.attempts import Attempt
    from butler_workers.isolation import ProcessPool
    from butler_workers.started import StartedTable

T = TypeVar("T")

LOOP_END_S = 1.0

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
        self._threads = _ThreadLane(self)
        self._loop = _LoopLane(self)
        self._room = threading.Event()
        self._low_water = 0

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
        self._dispatch(starting)

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
        """Ask an attempt to end; a timeout is also raised in a thread that runs it."""
        with attempt.lock:
            if attempt.over or attempt.interrupt is not None:
                return
            attempt.interrupt = kind
            attempt.control.request_cancel(reason)
            if attempt.process is not None:
                attempt.process.interrupt(kind, reason)
            elif attempt.task is not None:
                attempt.task.get_loop().call_soon_threadsafe(attempt.task.cancel)
            elif attempt.thread_id is not None and kind is Interrupt.TIMEOUT:
                _raise_in_thread(attempt.thread_id, TaskTimeout)

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
            if self.in_flight <= self._low_water:
                self._room.set()
        return following

    def _dispatch(self, attempts: Sequence[Attempt]) -> None:
        coroutines = [a for a in attempts if self.in_loop(a)]
        if coroutines:
            self._loop.start(coroutines)
        for attempt in attempts:
            if not self.in_loop(attempt):
                self._threads.start(attempt)

    def _begin(self, attempt: Attempt) -> tuple[Any, TaskContext] | Transition | None:
        """Decode the request and start the attempt's clock, or say how it ended already."""
        claimed, spec = attempt.claimed, attempt.spec
        if attempt.interrupt is not None:
            return _conclude(attempt, Raised(AttemptCancelled("interrupted before it started")))
        now = self._clock.monotonic()
        attempt.started_at = now
        attempt.started_wall = datetime.now(UTC)
        timeout_s = attempt.timeout_s
        if timeout_s is not None:
            attempt.deadline = now + timeout_s
        if self._started is not None:
            self._note_start(attempt)
        try:
            request = spec.request.decode(claimed.request)
        except InvalidRequest as error:
            return refuse_request(claimed, spec, error)
        return request, TaskContext(claimed, attempt.control, self._butler, attempt.deadline)

    def _note_start(self, attempt: Attempt) -> None:
        """Before the task's first line: a crash must find what was running."""
        assert self._started is not None
        until = None
        if attempt.deadline is not None and not (self.pool and attempt.in_process):
            until = attempt.deadline + self._grace_s
        claimed = attempt.claimed
        attempt.entry = self._started.start(claimed.id, claimed.attempt, until)

    def _end(self, attempt: Attempt, transition: Transition | None) -> Attempt | None:
        if self._started is not None and attempt.entry is not None:
            self._started.end(attempt.entry)
        self._on_end(attempt, transition)
        return self._next()


class _ThreadLane:
    """Threads for ``def`` tasks, made when no idle one is there."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._work: SimpleQueue[Attempt | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._made = 0

    def start(self, attempt: Attempt) -> None:
        if not self._idle.acquire(blocking=False):
            self._made += 1
            name = f"butler-slot-{self._made}"
            threading.Thread(target=self._serve, name=name, daemon=True).start()
        self._work.put(attempt)

    def stop(self) -> None:
        for _ in range(self._made):
            self._work.put(None)

    def _serve(self) -> None:
        while (attempt := self._work.get()) is not None:
            following: Attempt | None = attempt
            while following is not None:
                if self._slots.in_loop(following):
                    self._slots._dispatch([following])  # noqa: SLF001 - one mechanism, two lanes
                    break
                following = self.run(following)
            self._idle.release()

    def run(self, attempt: Attempt) -> Attempt | None:
        try:
            transition = self._execute(attempt)
        except TaskInterrupted as late:
            # Thrown between the task's last instruction and our first.
            transition = _conclude(attempt, Raised(late))
        _close(attempt)
        return self._slots._end(attempt, transition)  # noqa: SLF001

    def _execute(self, attempt: Attempt) -> Transition | None:
        end: Returned | Raised
        token = None
        try:
            begun = self._slots._begin(attempt)  # noqa: SLF001
            if not isinstance(begun, tuple):
                return begun
            if self._slots.pool is not None and attempt.in_process:
                return self._slots.pool.run(attempt)
            request, context = begun
            token = running_context.set(context)
            with attempt.lock:
                attempt.thread_id = threading.get_ident()
            end = Returned(attempt.spec.invoke(request, context))
        except BaseException as error:  # noqa: BLE001 - whatever a task raises ends its attempt
            end = Raised(error)
        finally:
            if token is not None:
                running_context.reset(token)
        return _conclude(attempt, end)


class _LoopLane:
    """One event loop in a thread, started with the first ``async def`` task."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self, attempts: Sequence[Attempt]) -> None:
        self.running().call_soon_threadsafe(self._start_all, list(attempts))

    def stop(self) -> None:
        with self._lock:
            if self._loop is None or self._thread is None or not self._thread.is_alive():
                return
            self._loop.call_soon_threadsafe(self._loop.stop)
        # A task that blocks the loop keeps it, until the process ends.
        self._thread.join(LOOP_END_S)

    def running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._serve, args=[self._loop], name="butler-loop", daemon=True
                )
                self._thread.start()
            return self._loop

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
        task = loop.create_task(self._run(attempt))
        with attempt.lock:
            attempt.task = task
        return task

    async def _run(self, attempt: Attempt) -> None:
        end: Returned | Raised
        try:
            begun = self._slots._begin(attempt)  # noqa: SLF001
            if isinstance(begun, tuple):
                request, context = begun
                running_context.set(context)
                value = attempt.spec.invoke(request, context)
                end = Returned(await value if inspect.isawaitable(value) else value)
                transition = _conclude(attempt, end)
            else:
                transition = begun
        except BaseException as error:  # noqa: BLE001 - whatever a task raises ends its attempt
            transition = _conclude(attempt, Raised(error))
        with attempt.lock:
            attempt.over = True
        following = self._slots._end(attempt, transition)  # noqa: SLF001
        if following is not None:
            if self._slots.in_loop(following):
                self._start(following)
            else:
                self._slots._dispatch([following])  # noqa: SLF001


def _conclude(attempt: Attempt, end: Returned | Raised) -> Transition | None:
    try:
        return conclude(attempt, end, random=random.random())  # noqa: S311 - spreads retries
    except Exception as error:
        # A result whose own methods raise, say: the slot must survive it, the attempt must end.
        logger.exception("attempt.not_concluded id=%s", attempt.claimed.id)
        return fail(attempt.claimed, error=describe_error(error))


def _close(attempt: Attempt) -> None:
    """From here on no interrupt may reach this thread for this attempt."""
    while True:
        try:
            with attempt.lock:
                attempt.over = True
            if attempt.interrupt is Interrupt.TIMEOUT:
                _raise_in_thread(threading.get_ident(), None)
        except TaskInterrupted:
            log_event(logger, logging.DEBUG, "attempt.late_interrupt", id=attempt.claimed.id)
        else:
            return


def _raise_in_thread(thread_id: int, error: type[BaseException] | None) -> None:
    """Have an exception raised at the thread's next bytecode; None takes a pending one back."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread_id), ctypes.py_object(error) if error else None
    )
