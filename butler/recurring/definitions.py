"""From what was said about a job to the row the ledger keeps, and to one of its executions."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from butler.enqueueing import with_fair_key
from butler.ids import new_id
from butler.limiting import fair_key_of
from butler.option_texts import merge_tags
from butler.recurring.decide import due_at, first_fire
from butler.recurring.job import schedule_text
from butler.recurring.options import DEFAULTS
from butler.storage.records import NewExecution
from butler.storage.recurring_records import RecurringDefinition

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from butler.enqueueing import Plan
    from butler.recurring.job import RecurringJob
    from butler.schedules import Schedule

_DEFINED = {field.name for field in fields(RecurringDefinition)}
# What a change of makes the next fire be sought anew, from now on.
_PLANNING = ("starts_at", "ends_at", "max_fires")


def new_definition(
    name: str,
    *,
    prepared: NewExecution,
    schedule: Schedule,
    options: Mapping[str, Any],
    source: str | None,
    now: datetime,
) -> RecurringDefinition:
    """The row of a new job. ``prepared`` carries its task and request, which were checked."""
    said = {**DEFAULTS, **options}
    id_ = new_id()
    fire_at = first_fire(schedule, now=now, starts_at=said["starts_at"], ends_at=said["ends_at"])
    return RecurringDefinition(
        id=id_,
        name=name,
        source=source,
        schedule=schedule_text(schedule),
        next_fire_at=fire_at,
        due_at=due_at(id_, fire_at=fire_at, jitter_s=said["jitter_s"], enabled=said["enabled"]),
        **_request_of(prepared),
        **said,
    )


def changed_definition(
    job: RecurringJob,
    *,
    now: datetime,
    schedule: Schedule | None = None,
    options: Mapping[str, Any],
    prepared: NewExecution | None = None,
) -> RecurringDefinition:
    """The row of a job with some of it changed; what is None stays.

    The next fire is sought anew, from now on, where its time is what changed, and where a paused
    job is resumed: what passed while somebody had paused it was not missed.
    """
    said = {name: getattr(job, name) for name in _DEFINED & set(_slots(job))} | dict(options)
    resumed = said["enabled"] and not job.enabled
    # A schedule that cannot be read any more must not keep its job from being changed or paused.
    moved = schedule is not None and not _same_schedule(job, schedule)
    replan = moved or resumed or any(said[name] != getattr(job, name) for name in _PLANNING)
    fire_at = job.next_fire_at
    if replan:
        fire_at = first_fire(
            schedule or job.schedule,
            now=now,
            starts_at=said["starts_at"],
            ends_at=said["ends_at"],
        )
        if said["max_fires"] is not None and job.fires >= said["max_fires"]:
            fire_at = None
    said |= {"request": None, "keep_request": True} if prepared is None else _request_of(prepared)
    said["schedule"] = job.schedule_json if schedule is None else schedule_text(schedule)
    said["next_fire_at"] = fire_at
    said["due_at"] = due_at(
        job.id, fire_at=fire_at, jitter_s=said["jitter_s"], enabled=said["enabled"]
    )
    return RecurringDefinition(**said)


def execution_of(
    job: RecurringJob, plan: Plan, *, prepared: NewExecution | None = None
) -> NewExecution:
    """One execution of a job: its options over the task's.

    ``prepared`` is another request than the job's own, with the keys that code made of it. Raises
    `InvalidOption` when task and job have too many tags together.
    """
    return NewExecution(
        id=new_id(),
        task=plan.task,
        queue=job.queue or plan.queue,
        request=None if prepared is None else prepared.request,
        priority=job.priority or plan.priority,
        max_attempts=job.max_attempts or plan.max_attempts,
        timeout_s=plan.timeout_s if job.timeout_s is None else job.timeout_s,
        unique_key=job.unique_key if prepared is None else prepared.unique_key,
        user_id=job.owner,
        tags=merge_tags(plan.tags, job.tags),
        fingerprint=plan.fingerprint,
        limit_keys=with_fair_key(
            None, job.fair_key if prepared is None else fair_key_of(prepared.limit_keys)
        ),
    )


def _request_of(prepared: NewExecution) -> dict[str, Any]:
    return {
        "task": prepared.task,
        "request": prepared.request,
        "unique_key": prepared.unique_key,
        "fair_key": fair_key_of(prepared.limit_keys),
        "fingerprint": prepared.fingerprint,
    }


def _same_schedule(job: RecurringJob, schedule: Schedule) -> bool:
    from butler.errors import InvalidSchedule

    try:
        return job.schedule == schedule
    except InvalidSchedule:
        return False


def _slots(job: RecurringJob) -> tuple[str, ...]:
    return tuple(field.name for field in fields(job))
