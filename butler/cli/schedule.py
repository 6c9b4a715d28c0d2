"""``butler schedule``: what a schedule means; needs neither servers nor an application."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from butler.cli.options import json_option
from butler.cli.printing import put, put_json
from butler.cli.recurring import put_preview
from butler.cli.times import FUTURE
from butler.errors import InvalidSchedule

if TYPE_CHECKING:
    from butler.schedules import Schedule


@click.group(epilog='\b\nExample:\n  butler schedule explain "0 9 * * MON-FRI" --tz Europe/Berlin')
def command() -> None:
    """Say what schedules mean."""


@command.command(
    epilog="""\b
Examples:
  butler schedule explain "30 2 * * *" --tz Europe/Berlin --from 2026-03-27
  butler schedule explain '{"type": "interval", "every_s": 90}'

\b
Exit codes:
  0  it is a schedule
  2  it is none: the message says which part, and what is allowed there
"""
)
@click.argument("schedule", metavar="EXPRESSION")
@click.option("--tz", "timezone", metavar="ZONE", help="Of a cron expression; default: UTC.")
@click.option("--count", type=click.IntRange(1, 1000), default=10, show_default=True)
@click.option("--from", "start", type=FUTURE, metavar="TIME", help="Not now, but from then on.")
@json_option
def explain(
    schedule: str, *, timezone: str | None, count: int, start: datetime | None, as_json: bool
) -> None:
    """Say a cron expression (or a schedule as JSON) in words, and list its next fire times.

    In local time and UTC, with what changes of clocks do to them.
    """
    try:
        found = _read(schedule, timezone)
        fires = found.preview(start or datetime.now(UTC), count)
    except InvalidSchedule as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        shown = [
            {"at": f.at.isoformat(), "local": f.local.isoformat(), "note": f.note or None}
            for f in fires
        ]
        put_json({"schedule": found.to_json(), "words": found.describe(), "fires": shown})
        return
    put(found.describe())
    put("")
    put_preview(fires, as_json=False)


def _read(text: str, timezone: str | None) -> Schedule:
    from butler.schedules import Cron, schedule_from_json

    if not text.lstrip().startswith("{"):
        return Cron(text, timezone=timezone or "UTC")
    if timezone is not None:
        raise click.UsageError("--tz is for a cron expression; a schedule as JSON names its zone")
    try:
        return schedule_from_json(json.loads(text))
    except ValueError as error:
        if isinstance(error, InvalidSchedule):
            raise
        raise click.UsageError(f"the schedule is no JSON: {error}") from error
