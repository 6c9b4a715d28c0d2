"""The rows of the picture_*.sql files, made into the parts of a `LedgerPicture`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from butler.storage.monitoring_records import (
    End,
    QueuePicture,
    RunningExecution,
    WaitingTask,
    WatchedFire,
    WatchedJob,
)
from butler.storage.postgres.rows import in_utc, maybe_utc

if TYPE_CHECKING:
    from collections.abc import Sequence


def queue(row: Sequence[Any]) -> QueuePicture:
    """The columns of picture_queues after the time and the leader."""
    name, depth, oldest = row[2:]
    return QueuePicture(queue=name, depth=depth, oldest_queued_at=in_utc(oldest))


def waiting(row: Sequence[Any]) -> WaitingTask:
    """The columns of picture_waiting."""
    task, reason, count, since = row
    return WaitingTask(task=task, reason=reason, count=count, since=in_utc(since))


def running(row: Sequence[Any]) -> RunningExecution:
    """The columns of picture_running."""
    id_, task, queue_name, worker_id, started_at, timeout_s = row
    return RunningExecution(
        id=id_,
        task=task,
        queue=queue_name,
        worker_id=worker_id,
        started_at=in_utc(started_at),
        timeout_s=timeout_s,
    )


def end(row: Sequence[Any]) -> End:
    """The columns of picture_ends."""
    id_, task, queue_name, succeeded, finished_at, took_s, crashes, error = row
    return End(
        id=id_,
        task=task,
        queue=queue_name,
        succeeded=succeeded,
        finished_at=in_utc(finished_at),
        took_s=took_s,
        crashes=crashes,
        error=error,
    )


def job(row: Sequence[Any]) -> WatchedJob:
    """The columns of picture_jobs."""
    id_, name, task, due_at, broken_reason = row
    return WatchedJob(
        id=id_, name=name, task=task, due_at=maybe_utc(due_at), broken_reason=broken_reason
    )


def fire(row: Sequence[Any]) -> WatchedFire:
    """The columns of picture_fires."""
    job_name, fire_at, recorded_at, outcome, execution_id, succeeded, finished_at, took_s = row
    return WatchedFire(
        job=job_name,
        fire_at=in_utc(fire_at),
        recorded_at=in_utc(recorded_at),
        outcome=outcome,
        execution_id=execution_id,
        succeeded=succeeded,
        finished_at=maybe_utc(finished_at) if succeeded is not None else None,
        took_s=took_s if succeeded is not None else None,
    )
