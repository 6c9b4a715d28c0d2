"""`LedgerPicture` of the memory ledger."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

from butler.executions import ExecutionStatus
from butler.lifecycle import WAITING_FOR_WORKER
from butler.storage.monitoring_records import (
    ENDS_SEEN,
    FIRES_SEEN,
    INTERNAL_QUEUE,
    OVERDUE_AFTER_S,
    End,
    LedgerPicture,
    QueuePicture,
    RunningExecution,
    WaitingTask,
    WatchedFire,
    WatchedJob,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from butler.recurring.job import RecurringFire
    from butler.storage.memory.recurring_rows import JobRow, JobTable
    from butler.storage.memory.rows import Row, RowTable
    from butler.storage.memory.workers import WorkerTable

_S = ExecutionStatus
_ENDED = {_S.SUCCEEDED, _S.FAILED}


def read_picture(
    *, rows: RowTable, jobs: JobTable, workers: WorkerTable, leader: str | None, now: datetime
) -> LedgerPicture:
    """How the ledger does; the lock is held."""
    running = [row for row in rows.in_status(_S.RUNNING) if row.new.queue != INTERNAL_QUEUE]
    counts = Counter(row.worker_id for row in running if row.worker_id is not None)
    return LedgerPicture(
        now=now,
        leader=leader,
        queues=tuple(_queues(rows.in_status(_S.QUEUED))),
        waiting=tuple(_waiting(rows.in_status(_S.SCHEDULED))),
        running=tuple(map(_running, running)),
        ends=tuple(_ends(rows.in_status(_S.SUCCEEDED, _S.FAILED))),
        workers=tuple(workers.rows(running=counts, now=now)),
        jobs=tuple(_watched(jobs, now=now)),
        fires=tuple(_fires(jobs, rows)),
    )


def _queues(queued: Iterable[Row]) -> Iterable[QueuePicture]:
    waits: dict[str, list[datetime]] = {}
    for row in queued:
        if row.queued_at is not None and row.new.queue != INTERNAL_QUEUE:
            waits.setdefault(row.new.queue, []).append(row.queued_at)
    for queue in sorted(waits):
        times = waits[queue]
        yield QueuePicture(queue=queue, depth=len(times), oldest_queued_at=min(times))


def _waiting(scheduled: Iterable[Row]) -> Iterable[WaitingTask]:
    found: dict[tuple[str, str], list[datetime]] = {}
    for row in scheduled:
        if row.reason in WAITING_FOR_WORKER:
            found.setdefault((row.new.task, row.reason or ""), []).append(_first_tried(row))
    for (task, reason), times in sorted(found.items()):
        yield WaitingTask(task=task, reason=reason, count=len(times), since=min(times))


def _first_tried(row: Row) -> datetime:
    return min((ended.attempt.finished_at for ended in row.ended), default=row.created_at)


def _running(row: Row) -> RunningExecution:
    return RunningExecution(
        id=row.id,
        task=row.new.task,
        queue=row.new.queue,
        worker_id=row.worker_id,
        started_at=row.started_at or row.created_at,
        timeout_s=row.new.timeout_s,
    )


def _ends(ended: Iterable[Row]) -> Iterable[End]:
    over = [row for row in ended if row.new.queue != INTERNAL_QUEUE]
    newest = sorted(over, key=lambda row: row.id, reverse=True)[:ENDS_SEEN]
    for row in newest:
        assert row.finished_at is not None
        error = None if row.error is None else json.loads(row.error)
        yield End(
            id=row.id,
            task=row.new.task,
            queue=row.new.queue,
            succeeded=row.status is _S.SUCCEEDED,
            finished_at=row.finished_at,
            took_s=_took_s(row),
            crashes=row.crashes,
            error=None if error is None else f"{error['type']}: {error['message']}"[:300],
        )


def _watched(jobs: JobTable, *, now: datetime) -> Iterable[WatchedJob]:
    overdue = now - timedelta(seconds=OVERDUE_AFTER_S)
    for job in jobs:
        said = job.definition
        late = said.due_at is not None and said.due_at < overdue
        if said.enabled and (late or job.broken_reason is not None):
            yield WatchedJob(
                id=said.id,
                name=said.name,
                task=said.task,
                due_at=said.due_at,
                broken_reason=job.broken_reason,
            )


def _fires(jobs: JobTable, rows: RowTable) -> Iterable[WatchedFire]:
    recorded = [(fire, job) for job in jobs for fire in job.recorded.values()]
    recorded.sort(key=lambda pair: (pair[0].recorded_at, pair[0].fire_at), reverse=True)
    for fire, job in recorded[:FIRES_SEEN]:
        yield _fire(fire, job, None if fire.execution_id is None else rows.get(fire.execution_id))


def _fire(fire: RecurringFire, job: JobRow, row: Row | None) -> WatchedFire:
    ended = row is not None and row.status in _ENDED
    return WatchedFire(
        job=job.definition.name,
        fire_at=fire.fire_at,
        recorded_at=fire.recorded_at,
        outcome=str(fire.outcome),
        execution_id=fire.execution_id,
        succeeded=row.status is _S.SUCCEEDED if row is not None and ended else None,
        finished_at=row.finished_at if row is not None and ended else None,
        took_s=_took_s(row) if row is not None and ended else None,
    )


def _took_s(row: Row) -> float | None:
    if row.started_at is None or row.finished_at is None:
        return None
    return (row.finished_at - row.started_at).total_seconds()
