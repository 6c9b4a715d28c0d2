"""``butler migrate``: bring the ledger's schema up to this release."""

from __future__ import annotations

import json

import click

from butler.settings import load_settings
from butler.storage.migrate import migrate


@click.command(epilog="\b\nExample:\n  BUTLER_DATABASE_URL=postgresql://app@db/app butler migrate")
@click.option("--json", "as_json", is_flag=True, help="Print what was applied as JSON.")
def command(*, as_json: bool) -> None:
    """Create or update Butler's tables; safe to run twice, and from many places at once."""
    settings = load_settings()
    applied = migrate(settings.need_database_url(), schema=settings.database_schema)
    names = [str(name) for name in applied]
    if as_json:
        click.echo(json.dumps({"applied": names}))
    elif names:
        for name in names:
            click.echo(f"applied {name}")
    else:
        click.echo("the schema is up to date")
