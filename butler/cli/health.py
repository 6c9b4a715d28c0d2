"""``butler health``: how the ledger and its servers do."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from butler.cli.forms import time_form
from butler.cli.opening import open_ledger
from butler.cli.options import app_options, json_option
from butler.cli.printing import at, on_terminal, put, put_fields, put_json, put_table, say
from butler.durations import seconds_text
from butler.monitoring.health.verdict import HealthLevel

if TYPE_CHECKING:
    from butler.monitoring.health.verdict import HealthCheck, HealthReport, JobHealth

EXIT_CODES = {HealthLevel.HEALTHY: 0, HealthLevel.DEGRADED: 1, HealthLevel.UNHEALTHY: 2}
COLUMNS = ("LEVEL", "CHECK", "WHAT", "REMEDY")
CLEAR = "\x1b[2J\x1b[H"
EPILOG = """\b
Examples:
  butler health
  butler health --watch
  butler health --json | jq '.checks[] | select(.level != "healthy")'
  butler health --job "Nightly report"

\b
Exit codes:
  0  healthy
  1  degraded
  2  unhealthy, or wrong usage
"""


@click.command(epilog=EPILOG)
@click.option("--watch", is_flag=True, help="Look again and again, until interrupted.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.2, max=3600),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look, with --watch.",
)
@click.option("--job", metavar="JOB", help="Look at this recurring job alone.")
@json_option
@app_options
def command(*, watch: bool, every: float, job: str | None, as_json: bool, **_: object) -> None:
    """Say how the ledger and its servers do, the worst first.

    Checks of your own are made where --app names your application.
    """
    with open_ledger() as butler:
        while True:
            if job is not None:
                found = butler.health.recurring(job)
                _put_job(found, as_json=as_json)
                level = found.level
            else:
                report = butler.health.report()
                _put_report(report, as_json=as_json, again=watch)
                level = report.level
            if not watch:
                break
            time.sleep(every)
    click.get_current_context().exit(EXIT_CODES[level])


def _put_report(report: HealthReport, *, as_json: bool, again: bool) -> None:
    if as_json:
        put_json(report_form(report), indent=None if again else 2)
        return
    if again and on_terminal():
        click.echo(CLEAR, nl=False)
    put_table(COLUMNS, map(_row, report.checks), empty="no checks")
    say(f"{report.level} at {at(report.at)}")
    if again:
        put("")


def report_form(report: HealthReport) -> dict[str, object]:
    """A report as JSON."""
    return {
        "level": str(report.level),
        "at": time_form(report.at),
        "checks": [{**asdict(check), "level": str(check.level)} for check in report.checks],
    }


def _row(check: HealthCheck) -> tuple[object, ...]:
    return (check.level, check.name, check.reason, check.remedy)


def _put_job(found: JobHealth, *, as_json: bool) -> None:
    if as_json:
        form = {**asdict(found), "level": str(found.level)}
        put_json({**form, "last_success_at": time_form(found.last_success_at)})
        return
    last, usual = found.last_run_s, found.usual_run_s
    put_fields(
        [
            ("job", found.job),
            ("level", found.level),
            ("reason", found.reason),
            ("remedy", found.remedy),
            ("last success", at(found.last_success_at)),
            ("failures in a row", found.consecutive_failures),
            ("last run took", None if last is None else seconds_text(last)),
            ("usually takes", None if usual is None else seconds_text(usual)),
        ]
    )
