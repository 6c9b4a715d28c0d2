"""Where ``def`` tasks run: threads, made when no idle one is there.

A thread that ends an attempt takes the next waiting one itself: for short tasks the hand-over
between threads would cost more than the work. An executor with a future an attempt was measured
at four times the cost.

Interrupts. A thread gets `TaskTimeout` raised in it, or `AttemptCancelled` where it did not obey a
cancel, which Python does at its next bytecode: it cannot reach a blocking C call. `Attempt.lock`
makes sure that it is only thrown while that thread still runs that attempt; one that arrives too
late is swallowed here.
"""

from __future__ import annotations

import ctypes
import logging
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

from butler.context import running_context
from butler.errors import TaskInterrupted
from butler.log import log_event
from butler_workers.attempts import Raised, Returned, conclude_safely

if TYPE_CHECKING:
    from butler.lifecycle import Transition
    from butler_workers.attempts import Attempt
    from butler_workers.slots import Slots

logger = logging.getLogger(__name__)


class ThreadLane:
    """Threads for ``def`` tasks, made when no idle one is there."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._work: SimpleQueue[Attempt | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._made = 0

    def start(self, attempt: Attempt) -> None:
        """Run an attempt in an idle thread, or a new one."""
        if not self._idle.acquire(blocking=False):
            self._made += 1
            name = f"butler-slot-{self._made}"
            threading.Thread(target=self._serve, name=name, daemon=True).start()
        self._work.put(attempt)

    def stop(self) -> None:
        """Let idle threads end; those that run a task die with the process."""
        for _ in range(self._made):
            self._work.put(None)

    def _serve(self) -> None:
        while (attempt := self._work.get()) is not None:
            following: Attempt | None = attempt
            while following is not None:
                if self._slots.in_loop(following):
                    self._slots.dispatch([following])
                    break
                following = self.run(following)
            self._idle.release()

    def run(self, attempt: Attempt) -> Attempt | None:
        """Run an attempt in the calling thread; returns the one to run next in its slot."""
        try:
            transition = self._execute(attempt)
        except TaskInterrupted as late:
            # Thrown between the task's last instruction and our first.
            transition = conclude_safely(attempt, Raised(late))
        _close(attempt)
        return self._slots.end(attempt, transition)

    def _execute(self, attempt: Attempt) -> Transition | None:
        end: Returned | Raised
        token = None
        try:
            begun = self._slots.begin(attempt)
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
        return conclude_safely(attempt, end)


def _close(attempt: Attempt) -> None:
    """From here on no interrupt may reach this thread for this attempt."""
    while True:
        try:
            with attempt.lock:
                attempt.over = True
            if attempt.thrown:
                raise_in_thread(threading.get_ident(), None)
        except TaskInterrupted:
            log_event(logger, logging.DEBUG, "attempt.late_interrupt", id=attempt.claimed.id)
        else:
            return


def raise_in_thread(thread_id: int, error: type[BaseException] | None) -> None:
    """Have an exception raised at the thread's next bytecode; None takes a pending one back."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread_id), ctypes.py_object(error) if error else None
    )
