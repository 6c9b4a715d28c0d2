"""`MemoryStorage`: the whole ledger in process memory, for tests and for trying things out.

It keeps every promise of the `Storage` protocol but one: it is gone with its process. It obeys the
same fences, keys and legal moves as Postgres and refuses the same values, so that what passes on
it passes there; ``tests/conformance`` holds both to the same suite.

One lock makes each call what a transaction is to Postgres. Rejected: a lock a row, which would
give nothing (a call costs microseconds, under the GIL) and could deadlock. Inputs are checked
before anything is written, because there is no rollback.
"""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

from butler import lifecycle
from butler.clock import SYSTEM_CLOCK
from butler.errors import InvalidOption
from butler.executions import ExecutionStatus
from butler.ids import new_token
from butler.storage.base import MAX_BATCH
from butler.storage.memory.access import MemoryAccess
from butler.storage.memory.attempts import claim_one, finish_one, report_one
from butler.storage.memory.keys import due_at, take_over
from butler.storage.memory.limits import LimitTable, MemoryLimits
from butler.storage.memory.logs import MemoryLogs
from butler.storage.memory.monitoring import MemoryMonitoring
from butler.storage.memory.operators import cancel_one, delete_one, retry_one
from butler.storage.memory.pruning import MemoryPruning
from butler.storage.memory.reads import count_by_status, find_page
from butler.storage.memory.recurring import MemoryRecurring
from butler.storage.memory.rows import Row, RowTable
from butler.storage.memory.stats import MemoryStats
from butler.storage.memory.workers import LeaderSeat, WorkerTable
from butler.storage.records import Claimed, ClaimReply, HeartbeatReply, Inserted, Refused
from butler.storage.retention import DEFAULT_DAYS, Retention
from butler.storage.values import check_insertable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from butler.clock import Clock
    from butler.executions import Execution
    from butler.lifecycle import Transition
    from butler.storage.records import (
        Claim,
        ExecutionEvent,
        ExecutionQuery,
        Finished,
        Leadership,
        Moved,
        NewExecution,
        Page,
        ProgressReport,
        QueueEntry,
        RunningAttempt,
        Standing,
        TaskDefinition,
        WorkerPulse,
        WorkerRegistration,
        WorkerRow,
    )

_S = ExecutionStatus


class MemoryStorage(
    MemoryRecurring,
    MemoryPruning,
    MemoryLogs,
    MemoryAccess,
    MemoryStats,
    MemoryMonitoring,
    MemoryLimits,
):
    """A `Storage` that lives and dies with its process; ``clock`` is the ledger's now.

    ``max_progress_updates`` caps the recorded progress of one execution, over all its attempts.
    """

    def __init__(
        self,
        *,
        clock: Clock = SYSTEM_CLOCK,
        max_progress_updates: int = 100,
        retention_days: float | Retention = DEFAULT_DAYS,
    ) -> None:
        super().__init__()
        self.retention = Retention.of(retention_days)
        self._clock = clock
        self._max_progress_updates = max_progress_updates
        self._id = new_token()
        self._lock = threading.Lock()
        self._rows = RowTable()
        self._limits = LimitTable(self._rows)
        self._tally = self._rows.tally
        self._workers = WorkerTable()
        self._seat = LeaderSeat()
        self._tasks: dict[str, TaskDefinition] = {}

    # Set-up

    def prepare(self) -> None:
        """Nothing needs to be made ready."""

    def close(self) -> None:
        """Nothing is given back: what was written can still be read."""

    def ledger_id(self) -> str:
        """The id made with this object."""
        return self._id

    # Producers

    def insert(self, executions: Sequence[NewExecution]) -> list[Inserted]:
        """Write executions; `InvalidRequest` or `InvalidOption` for what cannot be stored."""
        _check_batch(executions)
        check_insertable(executions)
        with self._lock:
            now = self._clock.now()
            return [self._insert(new, now=now) for new in executions]

    def get(self, execution_id: str) -> Execution | None:
        """One execution with its attempts."""
        with self._lock:
            row = self._rows.get(execution_id)
            return None if row is None else row.to_full_execution()

    def get_many(self, ids: Sequence[str]) -> list[Execution]:
        """Those of these executions that exist, with their attempts."""
        _check_batch(ids)
        with self._lock:
            return [row.to_full_execution() for row in self._rows_of(ids)]

    def standings(self, ids: Sequence[str]) -> list[Standing]:
        """How those of these executions that exist stand."""
        _check_batch(ids)
        with self._lock:
            return [row.to_standing() for row in self._rows_of(ids)]

    def find(self, query: ExecutionQuery) -> Page:
        """A page of executions, newest first."""
        with self._lock:
            return find_page(self._rows, query, fired=self._fired_by(query.recurring_job_id))

    def count(self, query: ExecutionQuery) -> dict[ExecutionStatus, int]:
        """How many executions match, by status."""
        with self._lock:
            fired = self._fired_by(query.recurring_job_id)
            return count_by_status(self._rows, query, fired=fired)

    def events(self, execution_id: str) -> list[ExecutionEvent]:
        """The recorded progress of an execution, oldest first."""
        with self._lock:
            row = self._rows.get(execution_id)
            return [] if row is None else list(row.events)

    def register_tasks(self, definitions: Sequence[TaskDefinition]) -> None:
        """Insert or replace definitions by name."""
        with self._lock:
            self._tasks.update({definition.name: definition for definition in definitions})
            self._declare(definitions)

    def task_definitions(self) -> list[TaskDefinition]:
        """Every known definition, by name."""
        with self._lock:
            return [self._tasks[name] for name in sorted(self._tasks)]

    # Operators

    def cancel(self, ids: Sequence[str]) -> list[Moved]:
        """End what waits, ask what runs to end."""
        _check_batch(ids)
        with self._lock:
            now = self._clock.now()
            return [cancel_one(self._rows, self._workers, id_, now=now) for id_ in ids]

    def retry(self, ids: Sequence[str]) -> list[Moved]:
        """Open failed and cancelled executions again."""
        _check_batch(ids)
        with self._lock:
            now = self._clock.now()
            return [retry_one(self._rows, id_, now=now) for id_ in ids]

    def delete(self, ids: Sequence[str]) -> list[Moved]:
        """Remove finished executions with their history."""
        _check_batch(ids)
        with self._lock:
            return [delete_one(self._rows, id_) for id_ in ids]

    # Workers

    def register_worker(self, worker: WorkerRegistration) -> None:
        """Add a worker, and make due what waits for one that knows one of its tasks."""
        with self._lock:
            now = self._clock.now()
            self._workers.register(worker, now=now)
            for row in self._rows.in_status(_S.SCHEDULED):
                waits = row.reason in lifecycle.WAITING_FOR_WORKER
                if waits and row.new.task in worker.tasks:
                    row.run_at = min(row.run_at, now)

    def heartbeat(self, worker_ids: Sequence[str]) -> list[HeartbeatReply]:
        """Raise the counters of workers that live, and tell each how it stands."""
        with self._lock:
            now = self._clock.now()
            return [
                HeartbeatReply(
                    worker_id=id_,
                    lost=not self._workers.beat(id_, now=now),
                    running=tuple(self._running(id_)),
                )
                for id_ in worker_ids
            ]

    def stop_worker(self, worker_id: str) -> None:
        """A worker ended in good order."""
        with self._lock:
            self._workers.stop(worker_id, now=self._clock.now())

    def claim(self, claim: Claim) -> ClaimReply:
        """Start attempts for those ids that are queued and may be run by this worker."""
        _check_batch(claim.ids)
        with self._lock:
            if not self._workers.may_work(claim.worker_id):
                return ClaimReply(worker_lost=True)
            now = self._clock.now()
            replies = [
                claim_one(self._rows, self._limits, claim, execution_id=id_, now=now)
                for id_ in dict.fromkeys(claim.ids)
            ]
        return ClaimReply(
            won=tuple(reply for reply in replies if isinstance(reply, Claimed)),
            refused=tuple(reply for reply in replies if isinstance(reply, Refused)),
        )

    def finish(self, transitions: Sequence[Transition]) -> list[Finished]:
        """End attempts, each fenced by ``(id, attempt, claim token)``."""
        _check_batch(transitions)
        with self._lock:
            now = self._clock.now()
            return [finish_one(self._rows, transition, now=now) for transition in transitions]

    def report_progress(self, reports: Sequence[ProgressReport]) -> None:
        """Write the newest progress of running attempts; stale ones change nothing."""
        _check_batch(reports)
        with self._lock:
            now = self._clock.now()
            for report in reports:
                row = self._rows.get(report.execution_id)
                if row is not None and row.runs_as(report.attempt, report.claim_token):
                    report_one(row, report, now=now, cap=self._max_progress_updates)

    def lose_worker(self, worker_id: str, *, counter: int | None = None) -> bool:
        """Mark a worker lost, for ever; with ``counter`` only if it still stands there."""
        with self._lock:
            return self._workers.lose(worker_id, counter=counter, now=self._clock.now())

    def running(self, worker_id: str) -> list[RunningAttempt]:
        """What runs under a worker's id."""
        with self._lock:
            return self._running(worker_id)

    def workers(self) -> list[WorkerRow]:
        """Workers that are alive, and those lost or stopped within the last hour."""
        with self._lock:
            return self._workers.rows(running=self._running_counts(), now=self._clock.now())

    # Scheduler

    def leadership(self) -> Leadership:
        """Who leads now."""
        with self._lock:
            return self._seat.read()

    def take_leadership(self, holder: str, *, observed: Leadership) -> int | None:
        """Lead, if leadership still stands as ``observed``."""
        with self._lock:
            return self._seat.take(holder, observed=observed)

    def renew_leadership(self, holder: str, *, epoch: int) -> bool:
        """Raise the leader's counter; False when somebody else leads."""
        with self._lock:
            return self._seat.renew(holder, epoch=epoch)

    def resign_leadership(self, holder: str, *, epoch: int) -> None:
        """Leave the place empty."""
        with self._lock:
            self._seat.resign(holder, epoch=epoch)

    def stage(self, *, epoch: int, limit: int) -> list[QueueEntry]:
        """Move due scheduled and retrying executions to queued, oldest first."""
        with self._lock:
            if not self._seat.holds(epoch):
                return []
            now = self._clock.now()
            waiting = self._rows.in_status(_S.SCHEDULED, _S.RETRYING)
            due = sorted(
                (row.run_at, row.id, row)
                for row in waiting
                if row.run_at <= now and not row.expired(now)
            )
            staged = [row for _, _, row in due[:limit]]
            for row in staged:
                self._rows.move(row, _S.QUEUED)
                row.queued_at = now
            return [row.to_entry() for row in staged]

    def expire(self, *, epoch: int, limit: int) -> list[QueueEntry]:
        """Cancel what waits and is past its ``expires_at``."""
        with self._lock:
            if not self._seat.holds(epoch):
                return []
            now = self._clock.now()
            waiting = self._rows.in_status(*lifecycle.REPLACEABLE)
            late = [row for row in waiting if row.expired(now)]
            return [self._rows.expire(row, now=now) for row in late[:limit]]

    def listen(self, wake: Callable[[], None]) -> None:
        """Nothing is heard: whoever shares this ledger looks."""

    def next_due_in_s(self) -> float | None:
        """Seconds until the next scheduled or retrying execution is due (<= 0: now)."""
        with self._lock:
            now = self._clock.now()
            waiting = self._rows.in_status(_S.SCHEDULED, _S.RETRYING)
            run_ats = (row.run_at for row in waiting if not row.expired(now))
            next_run_at = min(run_ats, default=None)
            if next_run_at is None:
                return None
            return (next_run_at - now).total_seconds()

    def queued(
        self, *, min_age_s: float, after: tuple[datetime, str] | None, limit: int
    ) -> list[tuple[datetime, QueueEntry]]:
        """Executions queued for at least ``min_age_s``, in (queued_at, id) order after a cursor."""
        with self._lock:
            newest = self._clock.now() - timedelta(seconds=min_age_s)
            found = [
                (row.queued_at, row.id, row)
                for row in self._rows.in_status(_S.QUEUED)
                if row.queued_at is not None
                and row.queued_at <= newest
                and (after is None or (row.queued_at, row.id) > after)
            ]
            return [(queued_at, row.to_entry()) for queued_at, _, row in sorted(found)[:limit]]

    def pulses(self) -> list[WorkerPulse]:
        """The counters of all workers but those lost or stopped with nothing running."""
        with self._lock:
            return self._workers.pulses(running=self._running_counts())

    # What the methods above share; the lock is held.

    def _insert(self, new: NewExecution, *, now: datetime) -> Inserted:
        known = self._rows.get(new.id)
        if known is not None:
            return Inserted(id=new.id, created=True, status=known.status)
        holder = self._rows.holder(new)
        if holder is not None:
            return take_over(self._rows, holder, new, now=now)
        run_at = due_at(new, now=now)
        queued = run_at <= now and not new.unpushed
        row = Row(
            new=new,
            status=_S.QUEUED if queued else _S.SCHEDULED,
            max_attempts=new.max_attempts,
            run_at=run_at,
            created_at=now,
            expires_at=new.expires_at,
            queued_at=now if queued else None,
        )
        self._rows.add(row)
        return Inserted(id=new.id, created=True, status=row.status)

    def _rows_of(self, ids: Sequence[str]) -> list[Row]:
        found = [self._rows.get(execution_id) for execution_id in dict.fromkeys(ids)]
        return [row for row in found if row is not None]

    def _running(self, worker_id: str) -> list[RunningAttempt]:
        rows = [row for row in self._rows.in_status(_S.RUNNING) if row.worker_id == worker_id]
        return [row.to_running() for row in sorted(rows, key=lambda row: row.id)]

    def _running_counts(self) -> Counter[str]:
        rows = self._rows.in_status(_S.RUNNING)
        return Counter(row.worker_id for row in rows if row.worker_id is not None)


def _check_batch(items: Sequence[object]) -> None:
    if len(items) > MAX_BATCH:
        raise InvalidOption(f"a batch holds at most {MAX_BATCH} items, got {len(items)}")
