"""``butler top``: queues, workers and what runs, live."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import click

from butler.cli.opening import open_ledger
from butler.cli.options import app_options, json_option
from butler.cli.printing import on_terminal, put, put_json, put_table
from butler.cli.times import DURATION
from butler.cli.top_reading import Looker, age_s, look_form
from butler.durations import seconds_text
from butler.errors import StorageUnavailable

if TYPE_CHECKING:
    from butler.cli.top_reading import Look

QUEUE_COLUMNS = ("QUEUE", "QUEUED", "OLDEST", "RUNNING", "WORKERS")
WORKER_COLUMNS = ("WORKER", "HOST", "SLOTS", "QUEUES")
RUNNING_COLUMNS = ("ID", "TASK", "QUEUE", "ATTEMPT", "FOR", "PROGRESS")
EPILOG = """\b
Examples:
  butler top
  butler top --interval 5s
  butler top --once
  butler top --json | jq '.queues[] | select(.oldest_s > 60)'
"""


@click.command(epilog=EPILOG)
@click.option(
    "--interval",
    type=DURATION,
    default="1s",
    show_default=True,
    metavar="TIME",
    help="Between two looks.",
)
@click.option("--once", is_flag=True, help="Look once, and print that.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=100,
    show_default=True,
    help="How many running executions to show, the newest first.",
)
@json_option
@app_options
def command(*, interval: float, once: bool, limit: int, as_json: bool, **_: object) -> None:
    """Watch queues, workers, and what runs, live.

    Ctrl-C ends it. Where no terminal is, or with --once or --json, it looks once and prints that.
    """
    with open_ledger() as butler:
        looker = Looker(butler, limit=limit)
        if as_json:
            put_json(look_form(looker.look()))
        elif not on_terminal():
            _put(looker.look())
        elif once:
            _draw(looker.look())
        else:
            with contextlib.suppress(KeyboardInterrupt):
                _watch(looker, interval_s=max(interval, 0.1))


def _watch(looker: Looker, *, interval_s: float) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from butler.cli.top_view import screen

    console = Console()
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            try:
                shown = screen(looker.look(), height=console.height, width=console.width)
            except StorageUnavailable as error:
                shown = Text(str(error), style="red")
            live.update(shown, refresh=True)
            time.sleep(interval_s)


def _draw(look: Look) -> None:
    from rich.console import Console

    from butler.cli.top_view import screen

    console = Console()
    console.print(screen(look, height=console.height, width=console.width))


def _put(look: Look) -> None:
    put(
        f"{look.rates[-1]:.3g} ended a second, {look.failed_per_s:.3g} failed; "
        f"{look.running_total} running; "
        f"{'no scheduler leads' if look.leader is None else f'scheduler {look.leader}'}\n"
    )
    queues = [(q.name, q.queued, _seconds(q.oldest_s), q.running, q.workers) for q in look.queues]
    put_table(QUEUE_COLUMNS, queues, empty="no queues")
    put("")
    workers = [
        (w.name, w.host, f"{w.running}/{w.concurrency}", ",".join(w.queues)) for w in look.workers
    ]
    put_table(WORKER_COLUMNS, workers, empty="no workers")
    put("")
    running = [
        (
            execution.id,
            execution.task,
            execution.queue,
            execution.attempt,
            seconds_text(age_s(execution, look)),
            f"{execution.progress.percent:.0f} %" if execution.progress else None,
        )
        for execution in look.running
    ]
    put_table(RUNNING_COLUMNS, running, empty="nothing runs")


def _seconds(value: float | None) -> str | None:
    return None if value is None else seconds_text(value)
