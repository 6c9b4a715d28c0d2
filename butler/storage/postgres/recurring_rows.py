"""Rows of the recurring statements made into records, and records into their JSON parameters."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from butler.executions import ExecutionStatus, Priority
from butler.recurring.job import (
    FireOutcome,
    Misfire,
    Overlap,
    RecurringFire,
    RecurringJob,
    RecurringStatistics,
)
from butler.storage.postgres.rows import STATUS, Columns, in_utc, maybe_utc
from butler.storage.recurring_records import DueJob, RecurringDefinition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from butler.storage.recurring_records import FireRow, RecurringStep

JOB_COLUMNS = 33
_MISFIRE = {str(m): m for m in Misfire}
_OVERLAP = {str(o): o for o in Overlap}
_PRIORITY: dict[str | None, Priority | None] = {None: None, **{str(p): p for p in Priority}}


def job(row: Columns) -> RecurringJob:
    """The columns of recurring_get and recurring_find, the first ones of recurring_due."""
    return RecurringJob(
        id=row[0],
        name=row[1],
        task=row[2],
        request=row[3],
        schedule_json=row[4],
        enabled=row[5],
        misfire=_MISFIRE[row[6]],
        misfire_grace_s=row[7],
        catch_up_limit=row[8],
        overlap=_OVERLAP[row[9]],
        max_concurrency=row[10],
        jitter_s=row[11],
        starts_at=maybe_utc(row[12]),
        ends_at=maybe_utc(row[13]),
        max_fires=row[14],
        queue=row[15],
        priority=_PRIORITY[row[16]],
        max_attempts=row[17],
        timeout_s=row[18],
        tags=tuple(row[19]),
        description=row[20],
        owner=row[21],
        source=row[22],
        unique_key=row[23],
        fingerprint=row[24],
        version=row[25],
        fires=row[26],
        next_fire_at=maybe_utc(row[27]),
        last_fire_at=maybe_utc(row[28]),
        broken_reason=row[29],
        created_at=in_utc(row[30]),
        updated_at=in_utc(row[31]),
        fair_key=row[32],
    )


def due_job(row: Columns) -> DueJob:
    """The columns of recurring_due and recurring_waiting."""
    _, due_at, tracked, unfinished, waiting = row[JOB_COLUMNS:]
    return DueJob(
        job=job(row),
        due_at=maybe_utc(due_at),
        tracked=tuple(tracked),
        unfinished=tuple(unfinished),
        finished=tuple(id_ for id_ in tracked if id_ not in unfinished),
        waiting=tuple(in_utc(fire_at) for fire_at in waiting),
    )


def fire(row: Columns) -> RecurringFire:
    """The columns of recurring_fires."""
    job_id, fire_at, outcome, manual, count, reason, recorded_at, execution_id, status = row
    return RecurringFire(
        job_id=job_id,
        fire_at=in_utc(fire_at),
        outcome=FireOutcome(outcome),
        manual=manual,
        count=count,
        reason=reason,
        recorded_at=in_utc(recorded_at),
        execution_id=execution_id,
        execution_status=STATUS[status],
    )


def statistics(found: Iterable[Columns]) -> RecurringStatistics:
    """The columns of recurring_statistics: one row an outcome and status."""
    fires: dict[FireOutcome, int] = {}
    executions: dict[ExecutionStatus, int] = {}
    spent = longest = None
    ended: dict[ExecutionStatus, datetime] = {}
    for outcome, status, fire_count, count, seconds, most, last in found:
        fires[FireOutcome(outcome)] = fires.get(FireOutcome(outcome), 0) + fire_count
        if status is None:
            continue
        kind = ExecutionStatus(status)
        executions[kind] = executions.get(kind, 0) + count
        if last is not None:
            ended[kind] = in_utc(last)
        if kind is ExecutionStatus.SUCCEEDED:
            spent, longest = seconds, most
    succeeded = executions.get(ExecutionStatus.SUCCEEDED, 0)
    return RecurringStatistics(
        fires=fires,
        executions=executions,
        mean_duration_s=None if spent is None else spent / succeeded,
        longest_duration_s=longest,
        last_success_at=ended.get(ExecutionStatus.SUCCEEDED),
        last_failure_at=ended.get(ExecutionStatus.FAILED),
    )


_DEFINED = [field.name for field in fields(RecurringDefinition) if field.name != "keep_request"]


def definition_form(definition: RecurringDefinition) -> dict[str, Any]:
    """A definition as recurring_insert and recurring_change read it."""
    return {name: _plain(getattr(definition, name)) for name in _DEFINED}


def steps_text(steps: Iterable[RecurringStep]) -> str:
    """Steps as recurring_fire reads them."""
    return json.dumps([_step_form(step) for step in steps])


def _step_form(step: RecurringStep) -> dict[str, Any]:
    """Only what is said: a field that is left out is NULL, and costs nothing."""
    fired = step.executions()
    form: dict[str, Any] = {
        "job_id": step.job_id,
        "plans": step.plans,
        "counted": step.counted,
        "finished": step.finished,
        "started": [new.id for _, new in fired] if step.tracks else (),
        "fires": [_fire_form(row) for row in step.fires],
    }
    for name in ("version", "broken_reason", "fingerprint", "tracked"):
        if (value := getattr(step, name)) is not None:
            form[name] = value
    for name in ("expected", "next_fire_at", "due_at"):
        if (moment := getattr(step, name)) is not None:
            form[name] = moment.isoformat()
    if fired:
        form["last_fire_at"] = max(row.fire_at for row, _ in fired).isoformat()
    return form


def _fire_form(row: FireRow) -> dict[str, Any]:
    form: dict[str, Any] = {
        "fire_at": row.fire_at.isoformat(),
        "outcome": row.outcome,
        "count": row.count,
        "manual": row.manual,
    }
    if row.reason is not None:
        form["reason"] = row.reason
    new = row.execution
    if new is not None:
        form |= {"id": new.id, "task": new.task, "queue": new.queue, "priority": new.priority}
        form |= {"max_attempts": new.max_attempts, "tags": new.tags}
        for name in ("request", "timeout_s", "user_id", "unique_key", "fingerprint"):
            if (value := getattr(new, name)) is not None:
                form[name] = value
        if new.limit_keys is not None:
            form["limit_keys"] = new.limit_keys.to_json()
    return form


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
