"""``butler executions logs``: what the tasks of one execution have logged."""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING

import click

from butler.cli.forms import line_form
from butler.cli.opening import open_ledger
from butler.cli.options import app_options, json_option
from butler.cli.printing import printable, printable_lines, put, put_json, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from butler.app import Butler
    from butler.storage.logs import LogLine

LOOK_EVERY_S = 0.5
PAGE = 1_000
EXIT_INTERRUPTED = 130
LEVELS = ("debug", "info", "warning", "error")


@click.command(
    epilog="""\b
Examples:
  butler executions logs 0198c0de-0000-7000-8000-000000000000 --level warning
  butler executions logs "$(butler enqueue report '{"year": 2026}')" --follow
"""
)
@click.argument("execution_id", metavar="ID")
@click.option("--follow", is_flag=True, help="Go on until the execution is over.")
@click.option("--level", type=click.Choice(LEVELS), help="Only from this level on.")
@json_option
@app_options
def logs(execution_id: str, *, follow: bool, level: str | None, as_json: bool, **_: object) -> None:
    """Print what an execution has logged, oldest first: time, attempt, level, logger, message.

    With --json each line is a JSON object.
    """
    lowest = 0 if level is None else logging.getLevelNamesMapping()[level.upper()]
    with open_ledger() as butler:
        try:
            for line in _lines(butler, execution_id, follow=follow):
                # The mark of what was cut is of no level.
                if line.level >= lowest or line.cut:
                    _put(line, as_json=as_json)
        except KeyboardInterrupt:
            say("it goes on")
            sys.exit(EXIT_INTERRUPTED)


def _lines(butler: Butler, execution_id: str, *, follow: bool) -> Iterator[LogLine]:
    """All lines there are; with ``follow`` also those that come, until the end.

    The mark of what was cut grows while its attempt runs, so it is told when that is over: when a
    later line follows it, or the execution has ended.
    """
    after = None
    while True:
        # In this order: what is over before has no line that is not read afterwards.
        finished = butler.get_or_raise(execution_id).status.finished
        while page := butler.logs(execution_id, after=after, limit=PAGE):
            if follow and not finished and page[-1].cut:
                page.pop()
            yield from page
            if not page:
                break
            after = page[-1].id
        if finished or not follow:
            return
        time.sleep(LOOK_EVERY_S)


def _put(line: LogLine, *, as_json: bool) -> None:
    if as_json:
        put_json(line_form(line), indent=None)
        return
    first, *rest = line.message.split("\n")
    at = f"{line.at:%Y-%m-%d %H:%M:%S}.{line.at.microsecond // 1000:03}Z"
    level = logging.getLevelName(line.level)
    put(f"{at}  {line.attempt}  {level:<7}  {printable(line.logger)}  {printable(first)}".rstrip())
    if rest:
        # Indented: no line of a message can pass for one of ours.
        put(printable_lines("\n".join(rest), indent="    "))
