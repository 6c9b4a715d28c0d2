"""Rows as the statements return them, made into records.

Each function reads the columns of certain files in ``sql/``, named in its docstring, by position.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from butler.executions import (
    Attempt,
    AttemptOutcome,
    ErrorRecord,
    Execution,
    ExecutionStatus,
    Priority,
    Progress,
)
from butler.storage.records import (
    Claimed,
    ExecutionEvent,
    Inserted,
    QueueEntry,
    RunningAttempt,
    Standing,
    TaskDefinition,
    WorkerPulse,
    WorkerRow,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

Columns = tuple[Any, ...]

# Looking a member up by its value in a dict costs a fifth of what calling the enum does.
STATUS: dict[str | None, ExecutionStatus | None] = {
    None: None,
    **{str(s): s for s in ExecutionStatus},
}
_PRIORITY = {str(p): p for p in Priority}
_OUTCOME = {str(o): o for o in AttemptOutcome}


def entry(row: Sequence[Any], *, fair_key: str | None = None) -> QueueEntry:
    """The first seven columns of finish, cancel, retry, delete, queued, and one of the others."""
    id_, task, queue, priority, attempt, timeout_s, created_at = row[:7]
    return QueueEntry(
        id=id_,
        task=task,
        queue=queue,
        priority=_PRIORITY[priority],
        attempt=attempt,
        timeout_s=timeout_s,
        created_at=in_utc(created_at),
        fair_key=fair_key,
    )


def created(found: Sequence[Columns]) -> dict[str, Inserted]:
    """The columns of the inserts and insert_known, by id."""
    replies = {}
    for id_, status in found:
        now = STATUS[status]
        assert now is not None
        replies[id_] = Inserted(id=id_, created=True, status=now)
    return replies


def claimed(row: Columns) -> Claimed:
    """The columns of claim, the first ones of claim_rest."""
    return Claimed(
        id=row[0],
        attempt=row[1],
        claim_token=row[2],
        task=row[3],
        queue=row[4],
        priority=_PRIORITY[row[5]],
        request=row[6],
        uncounted=row[7],
        max_attempts=row[8],
        crashes=row[9],
        alone=row[10],
        timeout_s=row[11],
        user_id=row[12],
        tags=tuple(row[13]),
        parent_id=row[14],
        fingerprint=row[15],
        created_at=in_utc(row[16]),
        traceparent=row[17],
    )


def claimed_limited(row: Columns) -> Claimed:
    """The columns of claim_limited, where it was won."""
    return replace(claimed(row), slots=tuple(row[18]))


def running(row: Columns) -> RunningAttempt:
    """The columns of running after the worker's id."""
    _, id_, attempt, claim_token, uncounted, max_attempts, crashes, alone, cancel_requested = row
    return RunningAttempt(
        id=id_,
        attempt=attempt,
        claim_token=claim_token,
        uncounted=uncounted,
        max_attempts=max_attempts,
        crashes=crashes,
        alone=alone,
        cancel_requested=cancel_requested,
    )


def execution(row: Columns, *, attempts: tuple[Attempt, ...] = ()) -> Execution:
    """The columns of find, the first ones of get."""
    percent = row[13]
    status = STATUS[row[2]]
    assert status is not None
    return Execution(
        id=row[0],
        task=row[1],
        status=status,
        queue=row[3],
        priority=_PRIORITY[row[4]],
        request=row[5],
        result=row[6],
        error=ErrorRecord.from_json(row[7]),
        attempt=row[8],
        uncounted=row[9],
        max_attempts=row[10],
        crashes=row[11],
        timeout_s=row[12],
        progress=None if percent is None else Progress(percent=percent, message=row[14]),
        tags=tuple(row[15]),
        user_id=row[16],
        unique_key=row[17],
        parent_id=row[18],
        rerun_of=row[19],
        worker_id=row[20],
        cancel_requested_at=maybe_utc(row[21]),
        run_at=in_utc(row[22]),
        created_at=in_utc(row[23]),
        queued_at=maybe_utc(row[24]),
        started_at=maybe_utc(row[25]),
        finished_at=maybe_utc(row[26]),
        expires_at=maybe_utc(row[27]),
        reason=row[28],
        attempts=attempts,
    )


def full_execution(row: Columns) -> Execution:
    """The columns of get: a success is its own record, all other attempts come as JSON."""
    attempts = tuple(_attempt(recorded) for recorded in row[29] or ())
    if row[2] == ExecutionStatus.SUCCEEDED:
        success = Attempt(
            number=row[8],
            outcome=AttemptOutcome.SUCCEEDED,
            counted=True,
            worker_id=row[20],
            started_at=maybe_utc(row[25]),
            finished_at=in_utc(row[26]),
        )
        attempts = (*attempts, success)
    return execution(row, attempts=attempts)


def standing(row: Columns) -> Standing:
    """The columns of standings."""
    id_, task, queue, tags, status_text, attempt, percent, message = row
    status = STATUS[status_text]
    assert status is not None
    progress = None if percent is None else Progress(percent=percent, message=message)
    return Standing(
        id=id_,
        task=task,
        queue=queue,
        tags=tuple(tags),
        status=status,
        attempt=attempt,
        progress=progress,
    )


def event(row: Columns) -> ExecutionEvent:
    """The columns of events."""
    execution_id, attempt, kind, at, percent, message = row
    return ExecutionEvent(
        execution_id=execution_id,
        attempt=attempt,
        kind=kind,
        at=in_utc(at),
        percent=percent,
        message=message,
    )


def task_definition(row: Columns) -> TaskDefinition:
    """The columns of task_definitions."""
    name, description, tags, request_schema, result_schema, options, fingerprint, app = row
    return TaskDefinition(
        name=name,
        description=description,
        tags=tuple(tags),
        request_schema=request_schema,
        result_schema=result_schema,
        options=options,
        fingerprint=fingerprint,
        app=app,
    )


def worker(row: Columns) -> WorkerRow:
    """The columns of workers."""
    return WorkerRow(
        id=row[0],
        name=row[1],
        host=row[2],
        pid=row[3],
        queues=tuple(row[4]),
        concurrency=row[5],
        running=row[6],
        lost=row[7],
        started_at=in_utc(row[8]),
        heartbeat_at=in_utc(row[9]),
        stopped_at=maybe_utc(row[10]),
        tasks=tuple(row[11]),
    )


def pulse(row: Columns) -> WorkerPulse:
    """The columns of pulses."""
    id_, name, counter, lost, stopped = row
    return WorkerPulse(id=id_, name=name, counter=counter, lost=lost, stopped=stopped)


def in_utc(at: datetime) -> datetime:
    """The same instant in UTC: times come in the session's zone, which is not ours to set."""
    return at if at.tzinfo is UTC else at.astimezone(UTC)


def maybe_utc(at: datetime | None) -> datetime | None:
    """``in_utc`` for a column that may be NULL."""
    return None if at is None else in_utc(at)


def _attempt(recorded: Sequence[Any]) -> Attempt:
    number, outcome, counted, worker_id, started_at, finished_at, error = recorded
    return Attempt(
        number=number,
        outcome=_OUTCOME[outcome],
        counted=counted,
        worker_id=worker_id,
        started_at=None if started_at is None else in_utc(datetime.fromisoformat(started_at)),
        finished_at=in_utc(datetime.fromisoformat(finished_at)),
        error=ErrorRecord.from_json(error),
    )
