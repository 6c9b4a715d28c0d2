"""`InlineWorker`: runs what is queued in the calling thread, for tests.

The same slots, transitions and ledger as in any worker, but no thread, no fetching and no lease:
one attempt after another, in a fixed order (priority, then time, then id), until nothing is left.
It takes what is queued from the ledger itself and clears it off the wire, so that Redis need not
have heard of it.

Two ways in: ``run`` for a test that is a function, with a loop of its own for ``async def`` tasks;
``arun`` for one that is a coroutine, where ``def`` tasks run in a thread, because they must not
block the loop they would find.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from butler.capture import capturing
from butler.clock import SYSTEM_CLOCK
from butler.errors import ButlerError, UnknownTask
from butler.executions import ExecutionStatus, Priority
from butler.ids import new_id, new_token
from butler.lifecycle import UNKNOWN_TASK
from butler.storage.base import MAX_BATCH
from butler.storage.records import Claim, WorkerRegistration
from butler_workers.attempts import Attempt, Interrupt, hand_back_for_later
from butler_workers.keyed_claims import KeyedClaims
from butler_workers.life import lifespan_failed
from butler_workers.notes import Notes
from butler_workers.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from butler.app import Butler
    from butler.executions import Execution
    from butler.lifecycle import Transition
    from butler.storage.limits import Wait
    from butler.storage.records import Claimed, QueueEntry

    Skip = Callable[[float], None]

# A rate's room is told in floats: less than this may not be enough.
SHORTEST_S = 0.001


class InlineWorker:
    """One run through everything that is due; use it once.

    ``skip`` moves the ledger's clock forward by seconds: with it, what is due later runs too.
    Raises `ButlerError` after ``max_attempts`` attempts.
    """

    def __init__(self, butler: Butler, *, max_attempts: int, skip: Skip | None = None) -> None:
        self._butler = butler
        self._storage = butler.storage
        self._claims = KeyedClaims(butler.storage, butler.registry)
        self._id = new_id()
        self._left = self._max_attempts = max_attempts
        self._skip = skip
        self._slots = Slots(1, butler=butler, clock=SYSTEM_CLOCK, on_end=self._on_end)
        self._notes = Notes(attempts=list, storage=self._storage, wire=butler.wire)
        self._ran: dict[str, None] = {}
        # What a limit or a pause keeps from starting, until something ends or the clock is moved.
        self._kept: dict[str, Wait] = {}
        self._rota = _Rota()

    def run(self) -> list[Execution]:
        """Run all in this thread; the executions as they are left, in the order they first ran."""
        hook, injector = self._butler.life, self._butler.injector
        with asyncio.Runner() as runner:
            with _explained():
                runner.run(hook.aopen(self._butler)) if hook.is_async else hook.open(self._butler)
            self._register()
            try:
                for attempt in self._attempts():
                    with self._around(attempt):
                        if attempt.spec.is_async:
                            runner.run(self._slots.arun_here(attempt))
                        else:
                            self._slots.run_here(attempt)
            finally:
                self._storage.stop_worker(self._id)
                injector.close(run=runner.run)
                runner.run(hook.aclose()) if hook.is_async else hook.close()
        return self._results()

    async def arun(self) -> list[Execution]:
        """`run` for a coroutine."""
        with _explained():
            await self._butler.life.aopen(self._butler)
        self._register()
        try:
            for attempt in self._attempts():
                with self._around(attempt):
                    if attempt.spec.is_async:
                        await self._slots.arun_here(attempt)
                    else:
                        await asyncio.to_thread(self._slots.run_here, attempt)
        finally:
            self._storage.stop_worker(self._id)
            await self._butler.injector.aclose()
            await self._butler.life.aclose()
        return self._results()

    def _register(self) -> None:
        # Which limits the tasks declare, too: the ledger admits attempts, here as anywhere.
        self._storage.register_tasks(self._butler.tasks())
        self._storage.register_worker(
            WorkerRegistration(
                id=self._id,
                name=f"inline.{self._id[-6:]}",
                host=socket.gethostname(),
                pid=os.getpid(),
                supervisor_id=self._id,
                queues=(),
                tasks=tuple(self._butler.registry.names()),
                concurrency=1,
            )
        )

    def _attempts(self) -> Iterator[Attempt]:
        while (entry := self._next()) is not None:
            attempt = self._claim(entry)
            if attempt is not None:
                self._count(attempt)
                yield attempt

    def _next(self) -> QueueEntry | None:
        self._stage()
        while True:
            queued = self._queued()
            if queued:
                return self._rota.next(queued)
            if not self._skip_ahead():
                return None

    def _queued(self) -> list[tuple[datetime, QueueEntry]]:
        """The first that no limit is known to keep; none: there are none."""
        after: tuple[datetime, str] | None = None
        while found := self._storage.queued(min_age_s=0, after=after, limit=MAX_BATCH):
            free = [pair for pair in found if pair[1].id not in self._kept]
            if free:
                return free
            after = (found[-1][0], found[-1][1].id)
        return []

    def _skip_ahead(self) -> bool:
        """Move the clock to what is due next, or has room under its rate; False: nothing is."""
        due_in_s = self._storage.next_due_in_s()
        rates_s = [wait.wait_s for wait in self._kept.values() if wait.part == "rate"]
        if self._skip is None or (due_in_s is None and not rates_s):
            return False
        ahead_s = min([*rates_s, *([] if due_in_s is None else [due_in_s])])
        self._skip(max(ahead_s, SHORTEST_S if rates_s else 0.0))
        self._kept.clear()
        return self._stage() > 0 or bool(rates_s)

    def _claim(self, entry: QueueEntry) -> Attempt | None:
        claimed = self._won(entry.id, solo=False) or self._won(entry.id, solo=True)
        if entry.id not in self._kept:
            self._butler.pusher.forget([entry])
        if claimed is None:
            return None
        spec = self._butler.registry.find(claimed.task)
        if spec is None:
            self._storage.finish([hand_back_for_later(claimed, UNKNOWN_TASK)])
            raise UnknownTask(claimed.task, self._butler.registry.names())
        limit = self._butler.settings.max_result_bytes
        now = SYSTEM_CLOCK.monotonic()
        attempt = Attempt(claimed, spec, claimed_at=now, max_result_bytes=limit)
        attempt.control.slots_taken = self._slots.all_taken
        return attempt

    def _won(self, execution_id: str, *, solo: bool) -> Claimed | None:
        claim = Claim(worker_id=self._id, token=new_token(), ids=(execution_id,), solo=solo)
        reply = self._claims.claim(claim)
        for item in reply.refused:
            if item.wait is None:
                continue
            if item.wait.part == "keys" and self._butler.registry.find(item.wait.limit) is None:
                raise UnknownTask(item.wait.limit, self._butler.registry.names())
            self._kept[item.id] = item.wait
        return next(iter(reply.won), None)

    def _count(self, attempt: Attempt) -> None:
        self._ran[attempt.claimed.id] = None
        self._left -= 1
        if self._left < 0:
            raise ButlerError(
                f"{self._max_attempts} attempts were run and there is still more to do "
                f"({attempt.claimed.task}): a task that always enqueues another, or always asks "
                "to run again? Else pass a larger max_attempts"
            )

    def _on_end(self, attempt: Attempt, transition: Transition | None) -> None:
        assert transition is not None
        attempt.control.end_lines()
        self._kept.clear()
        self._notes.write([attempt])
        (finished,) = self._storage.finish([transition])
        if finished.status is ExecutionStatus.QUEUED and finished.entry is not None:
            self._butler.pusher.push([finished.entry])

    def _stage(self) -> int:
        """Cancel what has expired and queue what is due, where no scheduler is at it."""
        seat = self._storage.leadership()
        if seat.holder is not None:
            return 0
        epoch = self._storage.take_leadership(self._id, observed=seat)
        if epoch is None:
            return 0
        self._butler.pusher.withdraw(self._storage.expire(epoch=epoch, limit=MAX_BATCH))
        staged = self._storage.stage(epoch=epoch, limit=MAX_BATCH)
        self._storage.resign_leadership(self._id, epoch=epoch)
        return len(staged)

    @contextmanager
    def _around(self, attempt: Attempt) -> Iterator[None]:
        with capturing(self._butler.settings), _Watchdog(self._slots, attempt):
            yield

    def _results(self) -> list[Execution]:
        found = [self._storage.get(execution_id) for execution_id in self._ran]
        return [execution for execution in found if execution is not None]


class _Rota:
    """One list after the other, as workers drain them; on each, fair keys take turns."""

    def __init__(self) -> None:
        self._taken = 0
        self._turns: dict[tuple[str, Priority, str | None], int] = {}

    def next(self, queued: Sequence[tuple[datetime, QueueEntry]]) -> QueueEntry:
        """The one that runs next of these, which are not none."""
        order = list(Priority)
        shared = {(e.queue, e.priority) for _, e in queued if e.fair_key is not None}

        def place(pair: tuple[datetime, QueueEntry]) -> tuple[int, int, datetime, str]:
            at, entry = pair
            fair = (entry.queue, entry.priority) in shared
            turn = self._turns.get(_fair_line(entry), 0) if fair else 0
            return order.index(entry.priority), turn, at, entry.id

        _, entry = min(queued, key=place)
        self._taken += 1
        self._turns[_fair_line(entry)] = self._taken
        return entry


class _Watchdog:
    """Interrupts an attempt at its timeout, as the ticker of a worker would."""

    def __init__(self, slots: Slots, attempt: Attempt) -> None:
        self._timer: threading.Timer | None = None
        if attempt.timeout_s is not None:
            reason = f"still running after timeout_s={attempt.timeout_s:g}"
            self._timer = threading.Timer(
                attempt.timeout_s, slots.interrupt, (attempt, Interrupt.TIMEOUT, reason)
            )
            self._timer.daemon = True

    def __enter__(self) -> None:
        if self._timer is not None:
            self._timer.start()

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()


def _fair_line(entry: QueueEntry) -> tuple[str, Priority, str | None]:
    """Those with the same one take one turn together."""
    return entry.queue, entry.priority, entry.fair_key


@contextmanager
def _explained() -> Iterator[None]:
    """Say of what a lifespan raises that it was the lifespan."""
    try:
        yield
    except Exception as error:
        raise lifespan_failed(error) from error
