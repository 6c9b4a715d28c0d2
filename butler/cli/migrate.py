"""``butler migrate``: bring the ledger's schema up to this release."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from butler.cli import EXIT_FAILED
from butler.cli.opening import settings_with_app
from butler.cli.options import app_options, json_option
from butler.cli.printing import put, put_json, say
from butler.storage.migrate import migrate, script, status

if TYPE_CHECKING:
    from butler.storage.migrate import MigrationStatus

EPILOG = """\b
Examples:
  BUTLER_DATABASE_URL=postgresql://app@db/app butler migrate
  butler migrate --status
  butler migrate --print > pending.sql

\b
Exit codes:
  0  the schema is up to date, now or after this; --print: it was printed
  1  it is not: --status found something pending or unknown, or a migration failed
  2  wrong usage
"""


@click.command(epilog=EPILOG)
@click.option("--status", "only_status", is_flag=True, help="Say what is applied, change nothing.")
@click.option(
    "--print", "only_print", is_flag=True, help="Print the SQL that is pending, change nothing."
)
@json_option
@app_options
def command(*, only_status: bool, only_print: bool, as_json: bool, **_: object) -> None:
    """Create or update Butler's tables.

    Safe to run twice, and from many places at once. Workers of the release before may go on
    meanwhile.
    """
    if only_status and only_print:
        raise click.UsageError("--status and --print exclude each other")
    settings = settings_with_app()
    url, schema = settings.need_database_url(), settings.database_schema
    if only_status:
        _show(status(url, schema=schema), as_json=as_json)
        return
    if only_print:
        pending = status(url, schema=schema).pending
        sql = script(pending, schema=schema)
        put_json({"pending": list(pending), "sql": sql}) if as_json else put(sql)
        say(f"{len(pending)} pending; nothing was changed")
        return
    applied = migrate(url, schema=schema)
    if as_json:
        put_json({"applied": applied})
        return
    for name in applied:
        put(f"applied {name}")
    if not applied:
        say("the schema is up to date")


def _show(found: MigrationStatus, *, as_json: bool) -> None:
    states = {"applied": found.applied, "pending": found.pending, "unknown": found.unknown}
    problem = found.problem()
    if as_json:
        put_json({**{state: list(names) for state, names in states.items()}, "problem": problem})
    else:
        for state, names in states.items():
            for name in names:
                put(f"{state:<7}  {name}")
    if problem is not None:
        say(f"this release cannot work on the schema: {problem}")
        click.get_current_context().exit(EXIT_FAILED)
