"""What changes recurring jobs: create, update, delete, pause, resume, trigger, bulk, sync.

Jobs are named by name or id, as arguments, or one a line on stdin (``-``). What could not be done
is said on stderr and makes the exit code 1; the others are done all the same.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import click

from butler.cli import EXIT_FAILED
from butler.cli.opening import loaded_app, open_app, open_ledger
from butler.cli.options import app_options, command_settings, dry_run_option, json_option
from butler.cli.printing import printable, put, put_json, say
from butler.cli.times import DURATION, FUTURE
from butler.errors import InvalidSchedule
from butler.executions import Priority
from butler.recurring.bulk import ACTIONS
from butler.recurring.job import JobStatus, Misfire, Overlap

if TYPE_CHECKING:
    from collections.abc import Callable

    from butler.recurring.bulk import BulkAction, BulkReport
    from butler.recurring.declaring import SyncReport
    from butler.schedules import Schedule

Command = TypeVar("Command", bound="Callable[..., Any]")

DONE = {"pause": "paused", "resume": "resumed", "trigger": "triggered", "delete": "deleted"}
EXIT_CODES = """
\b
Exit codes:
  0  done
  1  not done, or not for all: stderr says why
  2  wrong usage
"""


def job_filters(command: Command) -> Command:
    """The filters of a list of jobs."""
    for add in reversed(
        (
            click.option(
                "--status",
                multiple=True,
                type=click.Choice([str(status) for status in JobStatus]),
                help="May be given several times.",
            ),
            click.option("--task", metavar="NAME", help="Jobs of this task."),
            click.option("--queue", metavar="NAME", help="Jobs that name this queue."),
            click.option("--tag", metavar="TAG", help="Jobs that carry this tag."),
            click.option("--owner", metavar="ID", help="Jobs of this owner."),
            click.option("--source", metavar="APP", help="Jobs that this application declares."),
            click.option("--text", metavar="TEXT", help="Jobs with this in name or description."),
        )
    ):
        command = add(command)
    return command


def _job_options(command: Command) -> Command:
    """What is said about a job beside its task; nothing given means nothing said."""
    misfires, overlaps = [str(m) for m in Misfire], [str(o) for o in Overlap]
    positive = click.IntRange(min=1)
    for add in reversed(
        (
            click.option(
                "--cron", metavar="EXPRESSION", help="5 fields, 6 with seconds, or @daily."
            ),
            click.option("--tz", "timezone", metavar="ZONE", help="Of --cron; default: UTC."),
            click.option("--every", "every_s", type=DURATION, help="90s, 5m, 2h, 3d."),
            click.option("--at", "at", type=FUTURE, metavar="TIME", help="Once, then."),
            click.option("--schedule", metavar="JSON", help="Any schedule, in its JSON form."),
            click.option("--misfire", type=click.Choice(misfires), help="For times that passed."),
            click.option("--grace", "misfire_grace_s", type=DURATION, help="How late is too late."),
            click.option("--catch-up-limit", type=positive, metavar="N", help="Of catch_up."),
            click.option("--overlap", type=click.Choice(overlaps), help="While one is unfinished."),
            click.option(
                "--max-concurrency", type=positive, metavar="N", help="Unfinished at once."
            ),
            click.option("--jitter", "jitter_s", type=DURATION, help="Moves the job's fires."),
            click.option("--start", "starts_at", type=FUTURE, metavar="TIME", help="Not before."),
            click.option("--end", "ends_at", type=FUTURE, metavar="TIME", help="Not after."),
            click.option("--max-fires", type=positive, metavar="N", help="Then it is over."),
            click.option("--queue", metavar="NAME", help="Another queue than the task's."),
            click.option("--priority", type=click.Choice([str(p) for p in Priority])),
            click.option("--max-attempts", type=positive, help="The first one included."),
            click.option("--time-limit", "timeout_s", type=DURATION, help="For each attempt."),
            click.option("--tag", "tags", multiple=True, metavar="TAG", help="May be repeated."),
            click.option("--description", metavar="TEXT"),
            click.option("--owner", metavar="ID", help="Becomes the executions' user."),
        )
    ):
        command = add(command)
    return command


@click.command(
    epilog="""\b
Examples:
  butler recurring create Nightly report '{"kind": "a"}' --cron "0 2 * * *" --tz Europe/Berlin
  butler recurring create Ping ping --every 5m --overlap allow
"""
    + EXIT_CODES
)
@click.argument("name")
@click.argument("task")
@click.argument("request_text", metavar="[REQUEST]", required=False)
@_job_options
@click.option("--paused", is_flag=True, help="Make it paused.")
@json_option
@app_options
def create(
    name: str, task: str, request_text: str | None, *, paused: bool, as_json: bool, **given: Any
) -> None:
    """Add a recurring job; prints its id. REQUEST is a JSON value; - reads it from stdin.

    The request is checked against the task's type where the app is here, else against the schema
    that its workers have announced.
    """
    schedule = _schedule(given)
    if schedule is None:
        raise click.UsageError("one of --cron, --every, --at and --schedule is needed")
    options = _said(given) | ({"enabled": False} if paused else {})
    with open_app() as butler:
        request = _json("REQUEST", request_text)
        job = butler.recurring.create(name, task, schedule, request=request, **options)
        say(f"{printable(job.name)}: {printable(job.schedule.describe())}")
        put_json({"id": job.id, "version": job.version}) if as_json else put(job.id)


@click.command(
    epilog="""\b
Examples:
  butler recurring update "Nightly report" --cron "0 3 * * *" --version 4
  butler recurring update "Nightly report" --request '{"kind": "costs"}'
"""
    + EXIT_CODES
)
@click.argument("job")
@click.option("--version", type=int, metavar="N", help="Only if the job still has it.")
@click.option("--task", metavar="NAME", help="Another task.")
@click.option("--request", "request_text", metavar="JSON", help="Another request.")
@_job_options
@json_option
@app_options
def update(
    job: str,
    *,
    version: int | None,
    task: str | None,
    request_text: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Change what is given and leave the rest; prints the new version."""
    changes = _said(given)
    if (schedule := _schedule(given)) is not None:
        changes["schedule"] = schedule
    if request_text is not None:
        changes["request"] = _json("--request", request_text)
    if task is not None:
        changes["task"] = task
    if not changes:
        raise click.UsageError("nothing to change was given")
    with open_app() as butler:
        found = butler.recurring.update(job, version=version, **changes)
    form = {"id": found.id, "version": found.version}
    put_json(form) if as_json else put(str(found.version))


def _jobs_argument(command: Command) -> Command:
    add = click.argument("jobs", metavar="JOB...", nargs=-1, required=True)
    return add(command)


@click.command(epilog='\b\nExample:\n  butler recurring pause "Nightly report" Ping\n' + EXIT_CODES)
@_jobs_argument
@dry_run_option
@json_option
@app_options
def pause(jobs: tuple[str, ...], **given: Any) -> None:
    """Let jobs fire no more until they are resumed. - reads names from stdin."""
    _each("pause", jobs, **given)


@click.command(epilog='\b\nExample:\n  butler recurring resume "Nightly report"\n' + EXIT_CODES)
@_jobs_argument
@dry_run_option
@json_option
@app_options
def resume(jobs: tuple[str, ...], **given: Any) -> None:
    """Let paused jobs fire again, from now on. - reads names from stdin."""
    _each("resume", jobs, **given)


@click.command(epilog='\b\nExample:\n  butler recurring delete "Nightly report"\n' + EXIT_CODES)
@_jobs_argument
@dry_run_option
@json_option
@app_options
def delete(jobs: tuple[str, ...], **given: Any) -> None:
    """Remove jobs and the record of their fires, for good. - reads names from stdin.

    A job that an application declares comes back when that is synced.
    """
    _each("delete", jobs, **given)


@click.command(
    epilog="""\b
Examples:
  butler recurring trigger "Nightly report"
  butler recurring trigger "Nightly report" --request '{"kind": "costs"}'
"""
    + EXIT_CODES
)
@_jobs_argument
@click.option("--request", "request_text", metavar="JSON", help="Another request, for this time.")
@dry_run_option
@json_option
@app_options
def trigger(jobs: tuple[str, ...], *, request_text: str | None, **given: Any) -> None:
    """Run jobs now, also paused ones; their schedules do not change. - reads names from stdin."""
    if request_text is None:
        _each("trigger", jobs, **given)
        return
    if len(jobs) != 1 or given["dry_run"]:
        raise click.UsageError("--request is for one job, and not for a dry run")
    request = _json("--request", request_text)
    with open_app() as butler:
        handle = butler.recurring.trigger(jobs[0], request)
    say(f"{printable(jobs[0])} is triggered: {handle.id}")
    put_json({"id": handle.id, "pushed": handle.pushed}) if given["as_json"] else put(handle.id)


@click.command(
    epilog="""\b
Examples:
  butler recurring bulk pause --tag nightly
  butler recurring bulk delete --source old-shop --dry-run
"""
    + EXIT_CODES
)
@click.argument("action", type=click.Choice(ACTIONS))
@job_filters
@dry_run_option
@json_option
@app_options
def bulk(action: BulkAction, *, dry_run: bool, as_json: bool, **given: Any) -> None:
    """Do one thing to all jobs that the filters let through."""
    filters = {k: v for k, v in given.items() if k not in ("app", "app_dir") and v}
    if not filters:
        raise click.UsageError("bulk needs at least one filter: --status, --task, --tag, …")
    with open_ledger() as butler:
        report = butler.recurring.bulk(action, dry_run=dry_run, **filters)
    _report(report, as_json=as_json)


@click.command(
    epilog="""\b
Examples:
  butler recurring sync --app shop.main:butler --dry-run
  BUTLER_APP=shop.main:butler butler recurring sync

\b
Exit codes:
  0  the ledger has what the code declares
  1  a declared name belongs to somebody else, or an error
  2  wrong usage
"""
)
@click.option("--source", metavar="APP", help="Speak for this source; default: the app's name.")
@dry_run_option
@json_option
@app_options
def sync(*, source: str | None, dry_run: bool, as_json: bool, **_: object) -> None:
    """Make the jobs of an application in the ledger what its code declares.

    Schedulers that are given the app do it at their start. Jobs made here, or declared by others,
    are left alone, and so is whether a job is paused.
    """
    with loaded_app(command_settings()) as butler:
        report = butler.recurring.sync(source=source, dry_run=dry_run)
    if as_json:
        put_json(_sync_form(report))
    else:
        _put_sync(report)
    if report.conflicts:
        click.get_current_context().exit(EXIT_FAILED)


CHANGES = (create, update, delete, pause, resume, trigger, bulk, sync)


def _each(
    action: BulkAction, jobs: tuple[str, ...], *, dry_run: bool, as_json: bool, **_: object
) -> None:
    given = [name for job in jobs for name in (_lines() if job == "-" else [job])]
    with open_ledger() as butler:
        report = butler.recurring.bulk(action, jobs=given, dry_run=dry_run)
    _report(report, as_json=as_json)


def _report(report: BulkReport, *, as_json: bool) -> None:
    if as_json:
        form = {"action": report.action, "dry_run": report.dry_run}
        put_json({**form, "done": list(report.done), "failed": report.failed})
    else:
        done = f"would be {DONE[report.action]}" if report.dry_run else DONE[report.action]
        for name in report.done:
            put(f"{printable(name)}: {done}")
    for name, reason in report.failed.items():
        say(f"{printable(name)}: {printable(reason)}")
    if report.failed:
        click.get_current_context().exit(EXIT_FAILED)


def _put_sync(report: SyncReport) -> None:
    would = "would be " if report.dry_run else ""
    for what in ("created", "updated", "deleted"):
        for name in getattr(report, what):
            put(f"{printable(name)}: {would}{what}")
    for name in report.conflicts:
        say(f"{printable(name)}: belongs to somebody else, and was left alone")
    if not report.changed:
        say(f"nothing to do: {len(report.unchanged)} jobs of {printable(report.source)}")


def _sync_form(report: SyncReport) -> dict[str, Any]:
    names = ("created", "updated", "deleted", "unchanged", "conflicts")
    form: dict[str, Any] = {"source": report.source, "dry_run": report.dry_run}
    return form | {name: list(getattr(report, name)) for name in names}


def _schedule(given: dict[str, Any]) -> Schedule | dict[str, Any] | None:
    """The one schedule that was given, in whatever way; takes the ways out of ``given``."""
    from butler.schedules import Cron, Interval, Once

    cron, timezone = given.pop("cron"), given.pop("timezone")
    every_s, at, form = given.pop("every_s"), given.pop("at"), given.pop("schedule")
    if sum(way is not None for way in (cron, every_s, at, form)) > 1:
        raise click.UsageError("--cron, --every, --at and --schedule exclude each other")
    if timezone is not None and cron is None:
        raise click.UsageError("--tz is for --cron")
    try:
        if cron is not None:
            return Cron(cron, timezone=timezone or "UTC")
        if every_s is not None:
            return Interval(every_s)
    except InvalidSchedule as error:
        raise click.UsageError(str(error)) from error
    if at is not None:
        return Once(at)
    found = _json("--schedule", form)
    if found is not None and not isinstance(found, dict):
        raise click.UsageError("--schedule must be a JSON object: see docs/schedules.md")
    return found


def _said(given: dict[str, Any]) -> dict[str, Any]:
    """The options of a job that were given; leaves the schedule's alone."""
    other = ("cron", "timezone", "every_s", "at", "schedule", "app", "app_dir")
    return {k: v for k, v in given.items() if k not in other and v not in (None, ())}


def _json(what: str, text: str | None) -> Any:
    if text is None:
        return None
    if text == "-":
        text = sys.stdin.read()
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"{what} is no JSON: {error}") from error


def _lines() -> list[str]:
    return [line.strip() for line in sys.stdin if line.strip()]
