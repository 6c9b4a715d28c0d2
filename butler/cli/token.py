"""``butler token``: who may use the REST API."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from butler.api_tokens import Role
from butler.cli.forms import time_form
from butler.cli.opening import open_ledger
from butler.cli.options import app_options, json_option
from butler.cli.printing import at, printable, put, put_json, put_table, say, when
from butler.cli.times import FUTURE

if TYPE_CHECKING:
    from datetime import datetime

    from butler.storage.access import ApiToken

COLUMNS = ("ID", "NAME", "ROLE", "SCOPE", "LAST USED", "EXPIRES", "STATE")


@click.group(epilog="\b\nExample:\n  butler token create ops --role admin")
def command() -> None:
    """Give and take tokens for the REST API."""


@command.command(
    epilog="""\b
Examples:
  butler token create ops --role admin
  butler token create billing --role operator --queue invoices --expires 90d
"""
)
@click.argument("name", metavar="NAME")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.VIEWER.value,
    show_default=True,
    help="A viewer looks, an operator also enqueues and steers, an admin also gives tokens.",
)
@click.option("--queue", "queues", multiple=True, metavar="NAME", help="Only these queues.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Only what carries any of these.")
@click.option("--expires", "expires_at", type=FUTURE, metavar="TIME", help="90d, or a time.")
@json_option
@app_options
def create(
    name: str,
    *,
    role: str,
    queues: tuple[str, ...],
    tags: tuple[str, ...],
    expires_at: datetime | None,
    as_json: bool,
    **_: object,
) -> None:
    """Make a token, and print it: it is shown this once."""
    with open_ledger() as butler:
        issued = butler.tokens.create(
            name,
            role=role,
            queues=queues,
            tags=tags,
            expires_at=expires_at,
            created_by="command line",
        )
    if as_json:
        put_json({**_form(issued.token), "secret": issued.secret})
    else:
        say(f"a token for {printable(name)}; keep it now, it is not shown again:")
        put(issued.secret)


@command.command(name="list", epilog="\b\nExample:\n  butler token list --json")
@json_option
@app_options
def list_tokens(*, as_json: bool, **_: object) -> None:
    """List tokens, also those that were revoked; never what is secret of them."""
    with open_ledger() as butler:
        tokens = butler.tokens.list()
    if as_json:
        put_json({"tokens": [_form(token) for token in tokens]})
    else:
        put_table(COLUMNS, map(_row, tokens), empty="no tokens")


@command.command(epilog="\b\nExample:\n  butler token revoke billing")
@click.argument("token", metavar="TOKEN")
@json_option
@app_options
def revoke(token: str, *, as_json: bool, **_: object) -> None:
    """End a token, by its name or its id; it is refused within five seconds everywhere."""
    with open_ledger() as butler:
        found = butler.tokens.revoke(token)
    say(f"{printable(found.name)} is revoked")
    if as_json:
        put_json(_form(found))


def _form(token: ApiToken) -> dict[str, Any]:
    times = ("created_at", "expires_at", "revoked_at", "last_used_at")
    return asdict(token) | {name: time_form(getattr(token, name)) for name in times}


def _row(token: ApiToken) -> tuple[object, ...]:
    scope = [*(f"queue {queue}" for queue in token.queues), *(f"tag {tag}" for tag in token.tags)]
    return (
        token.id,
        token.name,
        token.role,
        ", ".join(scope) or "everything",
        when(token.last_used_at),
        at(token.expires_at),
        "revoked" if token.revoked_at else "good",
    )
