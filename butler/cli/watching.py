"""``butler executions watch``: follow one execution until it is over."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from butler.cli import EXIT_FAILED
from butler.cli.forms import execution_form
from butler.cli.opening import open_ledger
from butler.cli.options import app_options, json_option
from butler.cli.printing import on_terminal, printable, put, put_json, say
from butler.cli.times import DURATION
from butler.executions import ExecutionStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from butler.app import Butler
    from butler.executions import Execution

LOOK_EVERY_S = 0.2
EXIT_TIMEOUT = 3
EXIT_INTERRUPTED = 130

EPILOG = """\b
Examples:
  butler executions watch 0198c0de-0000-7000-8000-000000000000
  butler executions watch "$(butler enqueue report '{"year": 2026}')" --timeout 10m

\b
Exit codes:
  0    it succeeded
  1    it failed or was cancelled, or there is no such execution
  2    wrong usage
  3    it was not over within --timeout; it goes on
  130  Ctrl-C; it goes on
"""


@click.command(epilog=EPILOG)
@click.argument("execution_id", metavar="ID")
@click.option("--timeout", type=DURATION, help="Give up after so long: 90s, 5m, 2h.")
@json_option
@app_options
def watch(execution_id: str, *, timeout: float | None, as_json: bool, **_: object) -> None:
    """Follow an execution until it is over: its state, its progress, how it ends.

    With --json each change is a line.
    """
    with open_ledger() as butler:
        changes = _changes(butler, execution_id, timeout_s=timeout)
        try:
            last = _show_json(changes) if as_json else _show(changes)
        except KeyboardInterrupt:
            say("it goes on")
            sys.exit(EXIT_INTERRUPTED)
    if not last.status.finished:
        say(f"it is still {last.status}, and goes on")
        sys.exit(EXIT_TIMEOUT)
    if last.status is not ExecutionStatus.SUCCEEDED:
        sys.exit(EXIT_FAILED)


def _changes(butler: Butler, execution_id: str, *, timeout_s: float | None) -> Iterator[Execution]:
    """The execution now, and again whenever something that is shown has changed."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    shown: object = None
    while True:
        execution = butler.get_or_raise(execution_id)
        state = _state(execution)
        if state != shown:
            shown = state
            yield execution
        if execution.status.finished or (deadline is not None and time.monotonic() >= deadline):
            return
        time.sleep(LOOK_EVERY_S)


def _state(execution: Execution) -> object:
    asked = execution.cancel_requested_at is not None
    return execution.status, execution.attempt, execution.progress, asked


def _show_json(changes: Iterator[Execution]) -> Execution:
    for execution in changes:
        put_json(execution_form(execution), indent=None)
        last = execution
    return last


def _show(changes: Iterator[Execution]) -> Execution:
    if not on_terminal():
        for execution in changes:
            put(_line(execution))
            last = execution
        return last
    return _draw(changes)


def _draw(changes: Iterator[Execution]) -> Execution:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.fields[line]}", markup=False),
        BarColumn(bar_width=30),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(highlight=False), transient=True) as bar:
        row = bar.add_task("", total=None, line="")
        for execution in changes:
            known = execution.progress is not None
            percent = execution.progress.percent if execution.progress else 0
            bar.update(
                row,
                line=_line(execution),
                total=100 if known else None,
                completed=percent,
            )
            last = execution
    put(_line(last))
    return last


def _line(execution: Execution) -> str:
    """``send_email running, attempt 2 of 3, 40 % half of it``."""
    parts = [f"{printable(execution.task)} {execution.status}"]
    if execution.attempt and not execution.status.finished:
        parts.append(f"attempt {execution.attempts_used} of {execution.max_attempts}")
    if execution.cancel_requested_at and not execution.status.finished:
        parts.append("asked to end")
    if execution.progress and not execution.status.finished:
        message = printable(execution.progress.message or "")
        parts.append(f"{execution.progress.percent:g} % {message}".rstrip())
    if execution.error and execution.status is not ExecutionStatus.SUCCEEDED:
        parts.append(printable(f"{execution.error.type}: {execution.error.message}"))
    return ", ".join(parts)
