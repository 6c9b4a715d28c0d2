"""``butler errors``: what fails, by type and place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import click

from butler.cli.forms import time_form
from butler.cli.opening import open_ledger
from butler.cli.options import app_options, json_option
from butler.cli.printing import on_terminal, put_blocks, put_json, put_table, when
from butler.cli.tasks import say_if_unannounced
from butler.cli.times import PAST
from butler.monitoring.stats import ErrorOrder
from butler.text import counted

if TYPE_CHECKING:
    from datetime import datetime

    from butler.storage.stats import ErrorGroup

COLUMNS = ("COUNT", "TASK", "ERROR", "PLACE", "FIRST", "LAST", "EXAMPLE", "MESSAGE")
LONGEST_MESSAGE = 76
EPILOG = """\b
Examples:
  butler errors
  butler errors --since 15m --task "Send invoice"
  butler errors --order first_seen            # what is new
  butler executions show "$(butler errors --json | jq -r '.errors[0].execution_id')"
"""


@click.command(epilog=EPILOG)
@click.option(
    "--since", type=PAST, default="1d", show_default=True, metavar="TIME", help="15m, 2d, or a time"
)
@click.option("--until", type=PAST, metavar="TIME", help="Up to then; else up to now.")
@click.option("--task", metavar="NAME", help="Of this task alone.")
@click.option(
    "--order",
    type=click.Choice(get_args(ErrorOrder)),
    default="number",
    show_default=True,
    help="What comes first.",
)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@json_option
@app_options
def command(
    *,
    since: datetime,
    until: datetime | None,
    task: str | None,
    order: ErrorOrder,
    limit: int,
    as_json: bool,
    **_: object,
) -> None:
    """List what fails, by type and place.

    FIRST and LAST are over all that is kept (90 days); EXAMPLE is the newest execution.
    """
    with open_ledger() as butler:
        found = butler.stats.errors(since=since, until=until, task=task, order=order, limit=limit)
        if task is not None and not found:
            say_if_unannounced(butler, task)
    if as_json:
        put_json({"errors": [error_form(group) for group in found]})
    elif found and on_terminal():
        put_blocks(map(_block, found))
    else:
        put_table(COLUMNS, map(_row, found), empty="no errors")


def error_form(group: ErrorGroup) -> dict[str, Any]:
    """An error as JSON."""
    return {
        "fingerprint": group.fingerprint,
        "task": group.task,
        "type": group.type,
        "place": group.place,
        "message": group.message,
        "execution_id": group.execution_id,
        "number": group.number,
        "first_seen": time_form(group.first_seen),
        "last_seen": time_form(group.last_seen),
    }


def _block(group: ErrorGroup) -> tuple[str, ...]:
    """An error for a terminal, where its columns would not fit."""
    times = counted(group.number, "time")
    return (
        f"{group.task}: {group.type} in {group.place}, {times}",
        _short(group.message),
        f"first {when(group.first_seen)}, last {when(group.last_seen)}",
        f"for example {group.execution_id}",
    )


def _short(message: str) -> str:
    if len(message) <= LONGEST_MESSAGE:
        return message
    return f"{message[: LONGEST_MESSAGE - 1]}…"


def _row(group: ErrorGroup) -> tuple[object, ...]:
    return (
        group.number,
        group.task,
        group.type,
        group.place,
        when(group.first_seen),
        when(group.last_seen),
        group.execution_id,
        _short(group.message),
    )
