"""Recurring jobs in the memory ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from butler.errors import InvalidOption, InvalidRequest
from butler.executions import TERMINAL, ExecutionStatus
from butler.recurring.job import FireOutcome, RecurringPage
from butler.storage.base import MAX_BATCH
from butler.storage.memory.operators import cancel_one
from butler.storage.memory.recurring_rows import NEWEST_COUNTED, JobTable, matches, statistics
from butler.storage.memory.rows import Row
from butler.storage.recurring_records import DueJob, DueJobs, RecurringPulse, StepReply
from butler.storage.values import check_insertable, check_recurring

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from butler.clock import Clock
    from butler.recurring.job import RecurringFire, RecurringJob, RecurringStatistics
    from butler.storage.memory.recurring_rows import JobRow
    from butler.storage.memory.rows import RowTable
    from butler.storage.memory.workers import LeaderSeat, WorkerTable
    from butler.storage.records import Moved, NewExecution, QueueEntry
    from butler.storage.recurring_records import (
        FireQuery,
        FireRow,
        RecurringChange,
        RecurringDefinition,
        RecurringQuery,
        RecurringStep,
    )

MAX_PAGE = 1_000
_WAITING_SHOWN = 101


class MemoryRecurring:
    """What makes a `MemoryStorage` a `RecurringStorage`; everything happens under its lock."""

    _clock: Clock
    _lock: threading.Lock
    _rows: RowTable
    _workers: WorkerTable
    _seat: LeaderSeat

    def __init__(self) -> None:
        super().__init__()
        self._jobs = JobTable()

    def now(self) -> datetime:
        """The clock this ledger was given."""
        return self._clock.now()

    def insert_recurring(self, jobs: Sequence[RecurringDefinition]) -> list[bool]:
        """Add jobs whose names are free."""
        _check_batch(jobs)
        for definition in jobs:
            check_recurring(definition)
        with self._lock:
            now = self._clock.now()
            return [self._jobs.add(definition, now=now) for definition in jobs]

    def get_recurring(
        self, *, ids: Sequence[str] = (), names: Sequence[str] = ()
    ) -> list[RecurringJob]:
        """Those that exist, by name."""
        with self._lock:
            return [
                row.to_job()
                for row in self._jobs
                if row.definition.id in ids or row.definition.name in names
            ]

    def find_recurring(self, query: RecurringQuery) -> RecurringPage:
        """A page of jobs, by name; the cursor is the last name of the page before."""
        _check_limit(query.limit)
        with self._lock:
            jobs = [row.to_job() for row in self._jobs]
        found = [
            job
            for job in jobs
            if (query.after is None or job.name > query.after) and matches(job, query)
        ]
        shown, more = found[: query.limit], len(found) > query.limit
        return RecurringPage(jobs=tuple(shown), next_cursor=shown[-1].name if more else None)

    def change_recurring(self, changes: Sequence[RecurringChange]) -> list[bool]:
        """Replace definitions that still have their version."""
        _check_batch(changes)
        for change in changes:
            check_recurring(change.definition)
        with self._lock:
            return [self._change(change) for change in changes]

    def delete_recurring(self, ids: Sequence[str]) -> list[bool]:
        """Remove jobs with the record of their fires."""
        _check_batch(ids)
        with self._lock:
            return [self._jobs.remove(id_) for id_ in ids]

    def recurring_fires(self, query: FireQuery) -> list[RecurringFire]:
        """The recorded fires of a job, newest first."""
        _check_limit(query.limit)
        with self._lock:
            row = self._jobs.get(query.job_id)
            found = [] if row is None else sorted(row.recorded.values(), key=_fire_at)
            shown = [
                self._with_status(fire)
                for fire in reversed(found)
                if (not query.outcomes or fire.outcome in query.outcomes)
                and (query.before is None or fire.fire_at < query.before)
            ]
            return shown[: query.limit]

    def recurring_statistics(self, job_id: str) -> RecurringStatistics:
        """What became of the newest fires of a job."""
        with self._lock:
            row = self._jobs.get(job_id)
            fires = [] if row is None else sorted(row.recorded.values(), key=_fire_at)
            return statistics(fires[-NEWEST_COUNTED:], self._rows.get)

    def fire_recurring(
        self, steps: Sequence[RecurringStep], *, epoch: int | None = None
    ) -> list[StepReply]:
        """Do steps, one for each job."""
        _check_batch(steps)
        with self._lock:
            if epoch is not None and not self._seat.holds(epoch):
                return [StepReply(job_id=step.job_id, applied=False) for step in steps]
            now = self._clock.now()
            return [self._step(step, now=now) for step in steps]

    def recurring_pulse(self) -> RecurringPulse:
        """When the next job is due."""
        with self._lock:
            now = self._clock.now()
            due = [row.definition.due_at for row in self._jobs if row.definition.due_at]
            return RecurringPulse(
                now=now,
                due_in_s=(min(due) - now).total_seconds() if due else None,
                waiting=any(row.waiting() for row in self._jobs),
            )

    def due_recurring(
        self, *, limit: int, ahead_s: float = 0.0, after: tuple[datetime, str] | None = None
    ) -> DueJobs:
        """Jobs that are due or soon will be, longest due first."""
        with self._lock:
            now = self._clock.now()
            until = now + timedelta(seconds=ahead_s)
            due = sorted(
                (row.definition.due_at, row.definition.id)
                for row in self._jobs
                if row.definition.due_at is not None and row.definition.due_at <= until
            )
            ids = [id_ for due_at, id_ in due if after is None or (due_at, id_) > after]
            rows = [self._jobs.get(id_) for id_ in ids[:limit]]
            jobs = tuple(self._due(row) for row in rows if row is not None)
        return DueJobs(now=now, jobs=jobs)

    def waiting_recurring(self, *, limit: int) -> DueJobs:
        """Enabled jobs that have waiting fires."""
        with self._lock:
            waiting = [row for row in self._jobs if row.definition.enabled and row.waiting()]
            jobs = tuple(self._due(row) for row in waiting[:limit])
            return DueJobs(now=self._clock.now(), jobs=jobs)

    def cancel_overlapped(self, ids: Sequence[str], *, epoch: int) -> list[Moved]:
        """End or ask to end what a newer fire replaces, if the caller leads."""
        _check_batch(ids)
        with self._lock:
            if not self._seat.holds(epoch):
                return []
            now = self._clock.now()
            return [cancel_one(self._rows, self._workers, id_, now=now) for id_ in ids]

    # What the methods above share; the lock is held.

    def _fired_by(self, job_id: str | None) -> frozenset[str] | None:
        """The executions of this job's fires; None where none is asked for."""
        if job_id is None:
            return None
        job = self._jobs.get(job_id)
        fires = [] if job is None else job.recorded.values()
        return frozenset(fire.execution_id for fire in fires if fire.execution_id is not None)

    def _change(self, change: RecurringChange) -> bool:
        row = self._jobs.get(change.definition.id)
        if row is None or row.version != change.version:
            return False
        row.change(change.definition, now=self._clock.now())
        return True

    def _due(self, row: JobRow) -> DueJob:
        executions = {id_: self._rows.get(id_) for id_ in row.unfinished}
        over = {id_ for id_, found in executions.items() if not found or found.status in TERMINAL}
        return DueJob(
            job=row.to_job(with_request=False),
            due_at=row.definition.due_at,
            tracked=tuple(row.unfinished),
            unfinished=tuple(sorted(set(row.unfinished) - over)),
            finished=tuple(id_ for id_ in row.unfinished if id_ in over),
            waiting=tuple(row.waiting()[:_WAITING_SHOWN]),
        )

    def _step(self, step: RecurringStep, *, now: datetime) -> StepReply:
        row = self._jobs.get(step.job_id)
        if row is None or not row.allows(step, now=now):
            return StepReply(job_id=step.job_id, applied=False)
        try:
            check_insertable([new for _, new in step.executions()])
        except (InvalidOption, InvalidRequest) as error:
            return StepReply(job_id=step.job_id, applied=False, refused=str(error))
        held: list[str] = []
        entries = [
            entry for fire in step.fires for entry in self._fire(row, fire, held=held, now=now)
        ]
        row.take(step)
        return StepReply(job_id=step.job_id, applied=True, entries=tuple(entries), held=tuple(held))

    def _fire(
        self, job: JobRow, fire: FireRow, *, held: list[str], now: datetime
    ) -> Iterable[QueueEntry]:
        if not job.may_record(fire.fire_at):
            return []
        new = fire.execution
        if new is not None and self._rows.holder(new) is not None:
            held.append(new.id)
            reason = f"an unfinished execution holds the unique key {new.unique_key}"
            fire = replace(fire, outcome=FireOutcome.SKIPPED, reason=reason, execution=None)
        job.record(fire, now=now)
        return [] if fire.execution is None else [self._start(job, fire, fire.execution, now=now)]

    def _start(self, job: JobRow, fire: FireRow, new: NewExecution, *, now: datetime) -> QueueEntry:
        if new.request is None:
            new = replace(new, request=job.definition.request)
        row = Row(
            new=new,
            status=ExecutionStatus.QUEUED,
            max_attempts=new.max_attempts,
            run_at=min(fire.fire_at, now),
            created_at=now,
            queued_at=now,
        )
        self._rows.add(row)
        return row.to_entry()

    def _with_status(self, fire: RecurringFire) -> RecurringFire:
        row = None if fire.execution_id is None else self._rows.get(fire.execution_id)
        return fire if row is None else replace(fire, execution_status=row.status)


def _fire_at(fire: RecurringFire) -> datetime:
    return fire.fire_at


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidOption(f"limit must be in 1..{MAX_PAGE}, got {limit}")


def _check_batch(items: Sequence[object]) -> None:
    if len(items) > MAX_BATCH:
        raise InvalidOption(f"a batch holds at most {MAX_BATCH} items, got {len(items)}")
