"""``butler recurring import-rq-scheduler``: recurring jobs for what rq-scheduler holds."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from butler.cli import EXIT_FAILED
from butler.cli.opening import open_app
from butler.cli.options import app_options, dry_run_option, json_option
from butler.cli.printing import printable, put, put_json, say

if TYPE_CHECKING:
    from butler.recurring.rq_import import ImportedEntry


@click.command(
    "import-rq-scheduler",
    epilog="""\b
Examples:
  butler recurring import-rq-scheduler --app shop:butler --tz Europe/Berlin --dry-run
  butler recurring import-rq-scheduler --app shop:butler --task jobs.old_report=report --remove

\b
Exit codes:
  0  every entry has its recurring job
  1  some have not: stderr says why
  2  wrong usage
""",
)
@click.option(
    "--task",
    "names",
    multiple=True,
    metavar="FUNCTION=TASK",
    help="The task for a function, where it is not called like it. May be repeated.",
)
@click.option(
    "--tz", "timezone", metavar="ZONE", default="UTC", show_default=True, help="Of cron schedules."
)
@click.option("--remove", is_flag=True, help="Take rq-scheduler's entries away.")
@dry_run_option
@json_option
@app_options
def import_rq_scheduler(
    *, names: tuple[str, ...], timezone: str, remove: bool, dry_run: bool, as_json: bool, **_: Any
) -> None:
    """Make recurring jobs of the jobs that an application scheduled with rq-scheduler.

    Without --remove they are made paused, because the old entries still fire. With it they fire
    from now on, and each old entry is taken away once its job is in the ledger. Running it again
    imports nothing twice.

    rq-scheduler reads cron expressions in the zone of the host it runs on: say it with --tz.
    """
    from butler.recurring.rq_import import RqSchedulerImport

    functions = dict(_pair(name) for name in names)
    with open_app() as butler:
        known = {d.name: d for d in (*butler.storage.task_definitions(), *butler.tasks())}
        entries = RqSchedulerImport(butler.recurring, butler.redis).run(
            tasks=known, names=functions, timezone=timezone, remove=remove, dry_run=dry_run
        )
    if as_json:
        put_json([asdict(entry) for entry in entries])
    else:
        _tell(entries, dry_run=dry_run)
    if any(entry.problem for entry in entries):
        click.get_current_context().exit(EXIT_FAILED)


def _pair(text: str) -> tuple[str, str]:
    function, equals, task = text.partition("=")
    if not (function and equals and task):
        raise click.UsageError(f"--task must be FUNCTION=TASK, got {text!r}")
    return function, task


def _tell(entries: list[ImportedEntry], *, dry_run: bool) -> None:
    for entry in entries:
        if entry.problem is not None:
            say(f"{printable(entry.job_id)}: not imported: {printable(entry.problem)}")
            continue
        done = "would be imported" if dry_run else "imported"
        said = done if entry.created else "imported before"
        if entry.removed:
            said += ", and taken from rq-scheduler"
        put(f"{printable(entry.job_id)}: {said}: {printable(entry.schedule)}")
    if not entries:
        say("rq-scheduler holds no jobs in this Redis")
