"""Turning what rq-scheduler holds into recurring jobs (pure).

A job of RQ calls a function with loose arguments, a task takes one request: arguments by name are
its fields, those without names are its fields in their order. Which task stands for a function is
what the caller says, or else the task that is called like it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from butler.errors import ButlerError, InvalidSchedule, did_you_mean
from butler.schedules import Cron, Interval, Once

if TYPE_CHECKING:
    from collections.abc import Mapping

    from butler.recurring.rq_entries import RqEntry
    from butler.schedules import Schedule
    from butler.storage.records import TaskDefinition

# Of the package crontab, which rq-scheduler reads its expressions with.
_YEAR_FIELD = 6
_SECONDS_AND_YEAR_FIELDS = 7


class NotConvertible(ButlerError):
    """An entry that has no place among recurring jobs as it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What `RecurringJobs.create` is to be called with."""

    name: str
    task: str
    schedule: Schedule
    request: Any
    options: dict[str, Any] = field(default_factory=dict)


def convert(
    entry: RqEntry,
    *,
    tasks: Mapping[str, TaskDefinition],
    names: Mapping[str, str],
    timezone: str,
) -> Conversion:
    """The recurring job for an entry; ``tasks`` by name, ``names`` of tasks by function.

    Raises `NotConvertible`, saying what is missing.
    """
    if entry.problem is not None:
        raise NotConvertible(entry.problem)
    task = _task_for(entry.function, tasks=tasks, names=names)
    options: dict[str, Any] = {"description": entry.description or entry.function}
    if entry.queue:
        options["queue"] = entry.queue
    if entry.timeout_s is not None:
        options["timeout_s"] = entry.timeout_s
    if (repeat := entry.meta.get("repeat")) is not None:
        options["max_fires"] = int(repeat)
    return Conversion(
        name=name_of(entry.job_id),
        task=task.name,
        schedule=_schedule_of(entry, timezone=timezone),
        request=_request_of(entry, task),
        options=options,
    )


def name_of(job_id: str) -> str:
    """What the recurring job is called: always the same, so that nothing is imported twice."""
    return f"rq-scheduler {job_id}"


def _task_for(
    function: str, *, tasks: Mapping[str, TaskDefinition], names: Mapping[str, str]
) -> TaskDefinition:
    wanted = names.get(function, function.rpartition(".")[2])
    if wanted in tasks:
        return tasks[wanted]
    raise NotConvertible(
        f"it calls {function}, and there is no task {wanted!r}{did_you_mean(wanted, tasks)}; "
        f"name the task with --task {function}=TASK"
    )


def _schedule_of(entry: RqEntry, *, timezone: str) -> Schedule:
    try:
        if expression := entry.meta.get("cron_string"):
            return Cron(_without_year(str(expression)), timezone=timezone)
        if interval := entry.meta.get("interval"):
            return Interval(float(interval), anchor=entry.next_at)
    except InvalidSchedule as error:
        raise NotConvertible(str(error)) from error
    return Once(entry.next_at)


def _without_year(expression: str) -> str:
    fields = expression.split()
    if len(fields) not in (_YEAR_FIELD, _SECONDS_AND_YEAR_FIELDS):
        return expression
    if fields[-1] != "*":
        raise NotConvertible(f"{expression!r} names a year: make it a job with ends_at")
    return " ".join(fields[:-1])


def _request_of(entry: RqEntry, task: TaskDefinition) -> Any:
    fields = list(task.request_schema.get("properties", ()))
    if not fields and not entry.kwargs:
        if not entry.args:
            return None
        if len(entry.args) == 1:
            return entry.args[0]
    if len(entry.args) == 1 and not entry.kwargs and isinstance(entry.args[0], dict):
        return entry.args[0]
    if len(entry.args) > len(fields):
        raise NotConvertible(
            f"it passes {len(entry.args)} arguments without a name, and the request of "
            f"{task.name!r} has {len(fields)} fields: {', '.join(fields) or 'none'}"
        )
    return dict(zip(fields, entry.args, strict=False)) | entry.kwargs
