"""``butler demo``: the main job on real servers, with a worker killed half-way."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import click

from butler.demo.stage import Stage
from butler.demo.view import View

if TYPE_CHECKING:
    from butler.demo.run import Report

EPILOG = """\b
Example:
  butler demo --path ~/projects --keep

\b
Exit codes:
  0  every file has exactly one succeeded execution and the totals equal a direct count
  1  they do not, or the demo could not be run
"""


@click.command(epilog=EPILOG)
@click.option(
    "--path",
    type=click.Path(exists=True, file_okay=False),
    default=None,
    help="Folder to index (default: the standard library of this Python).",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False),
    default=".butler/demo",
    show_default=True,
    help="Where servers and logs live; made anew each time.",
)
@click.option("--keep", is_flag=True, help="Leave everything running and say how to look at it.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on stdout.")
def command(path: str | None, data: str, *, keep: bool, as_json: bool) -> None:
    """Index a folder with two workers, kill one of them, and show that nothing is lost."""
    # Ctrl-C and SIGTERM end the demo through its context managers: no server stays behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = str(Path(path or sysconfig.get_path("stdlib")).resolve())
    place = Path(data).resolve()
    shutil.rmtree(place, ignore_errors=True)
    view = View()
    with Stage(place) as stage:
        view.tell("Valkey and PostgreSQL are running")
        stage.start_processes()
        from butler.demo.run import Demo

        with view:
            report = Demo(stage, view, folder).run()
        _print(report, as_json=as_json)
        if keep:
            _wait_for_visitors(stage, view)
    sys.exit(1 if report.problems else 0)


def _print(report: Report, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
        return
    verdict = "FAILED" if report.problems else "nothing lost"
    click.echo(
        f"\n{verdict}: {report.succeeded} of {report.files} files have exactly one succeeded "
        f"execution, in {report.seconds:g} s\n"
        f"  totals        {report.bytes:,} bytes, {report.lines:,} lines, {report.words:,} words"
        " (as a direct count says)\n"
        f"  killed        {report.killed}; {report.interrupted} executions were cut off and ran "
        "again\n"
        f"  retried       succeeded at attempt {report.retried_attempts}\n"
        f"  scheduled     started {report.late_ms:g} ms after its time\n"
        f"  recurring     fired {report.beats} times, every 2 s\n"
        f"  cancelled     ended {report.cancelled_after_ms:g} ms after it was asked to"
    )
    for problem in report.problems:
        click.echo(f"  problem       {problem}")


def _wait_for_visitors(stage: Stage, view: View) -> None:
    redis_url, database_url = stage.services.redis_url, stage.services.database_url
    click.echo(
        "\nStill running; Ctrl-C ends it. Have a look:\n"
        f"  export BUTLER_REDIS_URL='{redis_url}'\n"
        f"  export BUTLER_DATABASE_URL='{database_url}'\n"
        f"  rq info --url '{redis_url}'\n"
        f"  psql '{database_url}' -c 'TABLE butler.executions'\n"
        f"  tail -f {stage.folder}/*.log"
    )
    try:
        signal.pause()
    except KeyboardInterrupt:
        view.tell("ending")
