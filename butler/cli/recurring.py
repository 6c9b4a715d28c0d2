"""``butler recurring``: looking at recurring jobs; ``recurring_changes`` has what changes them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from butler.cli.forms import time_form
from butler.cli.opening import open_ledger
from butler.cli.options import app_options, json_option
from butler.cli.printing import at, put, put_fields, put_json, put_table, say, when
from butler.cli.recurring_changes import CHANGES, job_filters
from butler.cli.recurring_import import import_rq_scheduler
from butler.cli.times import PAST
from butler.durations import seconds_text
from butler.errors import InvalidSchedule
from butler.recurring.job import FireOutcome

if TYPE_CHECKING:
    from datetime import datetime

    from butler.recurring.job import RecurringFire, RecurringJob, RecurringStatistics
    from butler.schedules import PreviewedFire

COLUMNS = ("NAME", "STATUS", "NEXT", "LAST", "TASK", "SCHEDULE", "NOTE")
FIRE_COLUMNS = ("FIRE TIME", "OUTCOME", "EXECUTION", "STATUS", "NOTE")
PREVIEW_COLUMNS = ("LOCAL", "UTC", "NOTE")


@click.group(epilog="\b\nExample:\n  butler recurring list --status broken")
def command() -> None:
    """Look at recurring jobs, and steer them."""


for _command in (*CHANGES, import_rq_scheduler):
    command.add_command(_command)


@command.command(
    name="list",
    epilog="""\b
Examples:
  butler recurring list --status active --status broken
  butler recurring list --tag nightly --names | butler recurring pause -
  butler recurring list --json | jq '.jobs[] | {name, next_fire_at}'
""",
)
@job_filters
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--cursor", metavar="CURSOR", help="Go on where the page before ended.")
@click.option("--names", "only_names", is_flag=True, help="Print names alone, one a line.")
@json_option
@app_options
def list_jobs(
    *, limit: int, cursor: str | None, only_names: bool, as_json: bool, **given: Any
) -> None:
    """List recurring jobs by name; every filter must hold."""
    filters = {name: given[name] for name in given if name not in ("app", "app_dir")}
    with open_ledger() as butler:
        page = butler.recurring.list(limit=limit, cursor=cursor, **filters)
    if as_json:
        forms = [job_form(job) for job in page.jobs]
        put_json({"jobs": forms, "next_cursor": page.next_cursor})
        return
    if only_names:
        for job in page.jobs:
            put(job.name)
    else:
        put_table(COLUMNS, map(_row, page.jobs), empty="no recurring jobs")
    if page.next_cursor is not None:
        say(f"there are more: --cursor {page.next_cursor!r}")


@command.command(epilog='\b\nExample:\n  butler recurring show "Nightly report"')
@click.argument("job", metavar="JOB")
@json_option
@app_options
def show(job: str, *, as_json: bool, **_: object) -> None:
    """Show all that is known of one job, and what became of its newest 10,000 fires."""
    with open_ledger() as butler:
        found = butler.recurring.get(job)
        counted = butler.recurring.statistics(found.id)
    if as_json:
        put_json({**job_form(found), "statistics": _statistics_form(counted)})
    else:
        put_fields([*_fields(found), *_counted(counted)])


@command.command(
    epilog="""\b
Examples:
  butler recurring history "Nightly report" --outcome skipped --outcome missed
  butler recurring history "Nightly report" --json | jq '.fires[].execution_id'
"""
)
@click.argument("job", metavar="JOB")
@click.option(
    "--outcome",
    multiple=True,
    type=click.Choice([str(outcome) for outcome in FireOutcome]),
    help="May be given several times.",
)
@click.option("--before", type=PAST, metavar="TIME", help="Fire times before this one: 2h, 3d, …")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@json_option
@app_options
def history(
    job: str,
    *,
    outcome: tuple[str, ...],
    before: datetime | None,
    limit: int,
    as_json: bool,
    **_: object,
) -> None:
    """List what became of a job's fire times, newest first."""
    with open_ledger() as butler:
        fires = butler.recurring.history(job, outcome=outcome, before=before, limit=limit)
    if as_json:
        put_json({"fires": [_fire_form(fire) for fire in fires]})
    else:
        put_table(FIRE_COLUMNS, map(_fire_row, fires), empty="no fires")


@command.command(epilog='\b\nExample:\n  butler recurring preview "Nightly report" --count 3')
@click.argument("job", metavar="JOB")
@click.option("--count", type=click.IntRange(1, 1000), default=10, show_default=True)
@json_option
@app_options
def preview(job: str, *, count: int, as_json: bool, **_: object) -> None:
    """List a job's next fire times, with what changes of clocks do to them."""
    with open_ledger() as butler:
        fires = butler.recurring.preview(job, count=count)
    put_preview(fires, as_json=as_json)


def put_preview(fires: list[PreviewedFire], *, as_json: bool) -> None:
    """Coming fires, as a table or as JSON."""
    if as_json:
        put_json(
            {
                "fires": [
                    {
                        "at": time_form(fire.at),
                        "local": fire.local.isoformat(),
                        "moved": fire.moved,
                        "note": fire.note or None,
                    }
                    for fire in fires
                ]
            }
        )
        return
    put_table(
        PREVIEW_COLUMNS,
        [(f"{fire.local:%a %Y-%m-%d %H:%M:%S %Z}", at(fire.at), fire.note) for fire in fires],
        empty="no fires: it is over",
    )


def job_form(job: RecurringJob) -> dict[str, Any]:
    """A job as JSON."""
    form = asdict(job)
    del form["schedule_json"]
    for name in ("starts_at", "ends_at", "next_fire_at", "last_fire_at", "created_at"):
        form[name] = time_form(form[name])
    form["updated_at"] = time_form(job.updated_at)
    return {**form, "status": str(job.status), "schedule": json.loads(job.schedule_json)}


def _row(job: RecurringJob) -> tuple[object, ...]:
    return (
        job.name,
        job.status,
        when(job.next_fire_at) if job.enabled else None,
        when(job.last_fire_at),
        job.task,
        _words(job),
        job.broken_reason,
    )


def _words(job: RecurringJob) -> str:
    try:
        return job.schedule.describe()
    except InvalidSchedule:
        return job.schedule_json


def _fields(job: RecurringJob) -> list[tuple[str, object]]:
    return [
        ("id", job.id),
        ("name", job.name),
        ("status", job.status),
        ("broken because", job.broken_reason),
        ("task", job.task),
        ("request", json.dumps(job.request, ensure_ascii=False)),
        ("schedule", _words(job)),
        ("next", at(job.next_fire_at) if job.enabled else None),
        ("last", at(job.last_fire_at)),
        ("fires", job.fires if job.max_fires is None else f"{job.fires} of {job.max_fires}"),
        ("from", at(job.starts_at)),
        ("until", at(job.ends_at)),
        ("jitter", seconds_text(job.jitter_s) if job.jitter_s else None),
        ("misfire", f"{job.misfire}, grace {seconds_text(job.misfire_grace_s)}"),
        ("overlap", f"{job.overlap}, at most {job.max_concurrency} at once"),
        ("queue", job.queue),
        ("priority", job.priority),
        ("max attempts", job.max_attempts),
        ("time limit", None if job.timeout_s is None else seconds_text(job.timeout_s)),
        ("tags", ", ".join(job.tags) or None),
        ("description", job.description or None),
        ("owner", job.owner),
        ("declared by", job.source),
        ("version", job.version),
        ("created", at(job.created_at)),
        ("changed", at(job.updated_at)),
    ]


def _counted(counted: RecurringStatistics) -> list[tuple[str, object]]:
    mean, longest = counted.mean_duration_s, counted.longest_duration_s
    return [
        ("outcomes", _listed(counted.fires)),
        ("executions", _listed(counted.executions)),
        ("took", None if mean is None else f"{seconds_text(mean)} on average"),
        ("took at most", None if longest is None else seconds_text(longest)),
        ("last success", at(counted.last_success_at)),
        ("last failure", at(counted.last_failure_at)),
    ]


def _listed(counts: Any) -> str | None:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or None


def _statistics_form(counted: RecurringStatistics) -> dict[str, Any]:
    form = asdict(counted)
    form["fires"] = {str(name): count for name, count in counted.fires.items()}
    form["executions"] = {str(name): count for name, count in counted.executions.items()}
    for name in ("last_success_at", "last_failure_at"):
        form[name] = time_form(form[name])
    return form


def _fire_row(fire: RecurringFire) -> tuple[object, ...]:
    notes = [
        "by hand" if fire.manual else "",
        f"{fire.count} fire times" if fire.count > 1 else "",
        fire.reason or "",
    ]
    return (
        at(fire.fire_at),
        fire.outcome,
        fire.execution_id,
        fire.execution_status,
        "; ".join(note for note in notes if note),
    )


def _fire_form(fire: RecurringFire) -> dict[str, Any]:
    status = fire.execution_status
    return {
        "fire_at": time_form(fire.fire_at),
        "outcome": str(fire.outcome),
        "manual": fire.manual,
        "count": fire.count,
        "reason": fire.reason,
        "recorded_at": time_form(fire.recorded_at),
        "execution_id": fire.execution_id,
        "execution_status": None if status is None else str(status),
    }
