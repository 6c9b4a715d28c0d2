"""``butler alerts``: looking at alerts, acknowledging and silencing them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from butler.cli.forms import time_form
from butler.cli.opening import open_ledger
from butler.cli.options import app_options, json_option
from butler.cli.printing import (
    at,
    on_terminal,
    put,
    put_blocks,
    put_fields,
    put_json,
    put_table,
    say,
    when,
)
from butler.cli.times import DURATION
from butler.monitoring.alerts.alert import AlertState

if TYPE_CHECKING:
    from butler.monitoring.alerts.alert import Alert, Silence

COLUMNS = ("ID", "STATE", "SEVERITY", "SINCE", "WHAT", "RULE")
SILENCE_COLUMNS = ("ID", "RULE", "SUBJECT", "FROM", "UNTIL", "BY", "REASON")
LONGEST_CAUSE = 120
UNRESOLVED = (AlertState.OPEN, AlertState.ACKNOWLEDGED)


@click.group(epilog="\b\nExample:\n  butler alerts list")
def command() -> None:
    """Look at alerts, acknowledge and silence them."""


@command.command(
    name="list",
    epilog="""\b
Examples:
  butler alerts list
  butler alerts list --all --rule queue-waits-too-long --json
""",
)
@click.option("--all", "every", is_flag=True, help="Also those that are resolved.")
@click.option(
    "--state",
    multiple=True,
    type=click.Choice([str(state) for state in AlertState]),
    help="May be given several times.",
)
@click.option("--rule", metavar="RULE", help="Of this rule.")
@click.option("--subject", metavar="SUBJECT", help="About this task, queue, job, host or check.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--cursor", metavar="CURSOR", help="Go on where the page before ended.")
@json_option
@app_options
def list_alerts(
    *,
    every: bool,
    state: tuple[str, ...],
    rule: str | None,
    subject: str | None,
    limit: int,
    cursor: str | None,
    as_json: bool,
    **_: object,
) -> None:
    """List alerts, newest first: those that are not resolved, unless asked otherwise."""
    states = state or (() if every else UNRESOLVED)
    with open_ledger() as butler:
        page = butler.alerts.list(
            state=states, rule=rule, subject=subject, limit=limit, cursor=cursor
        )
    if as_json:
        forms = [alert_form(alert) for alert in page.alerts]
        put_json({"alerts": forms, "next_cursor": page.next_cursor})
        return
    if page.alerts and on_terminal():
        put_blocks(map(_block, page.alerts))
    else:
        put_table(COLUMNS, map(_row, page.alerts), empty="no alerts")
    if page.next_cursor is not None:
        say(f"there are more: --cursor {page.next_cursor}")


@command.command(epilog="\b\nExample:\n  butler alerts show 0195f3a0-…")
@click.argument("alert_id", metavar="ALERT")
@json_option
@app_options
def show(alert_id: str, *, as_json: bool, **_: object) -> None:
    """Show all of one alert."""
    with open_ledger() as butler:
        alert = butler.alerts.get(alert_id)
    if as_json:
        put_json(alert_form(alert))
    else:
        put_fields(_fields(alert))


@command.command(epilog="\b\nExample:\n  butler alerts ack 0195f3a0-… --by ada")
@click.argument("alert_id", metavar="ALERT")
@click.option("--by", metavar="NAME", help="Who looks at it.")
@json_option
@app_options
def ack(alert_id: str, *, by: str | None, as_json: bool, **_: object) -> None:
    """Say that somebody looks at it, so that it is not escalated."""
    with open_ledger() as butler:
        alert = butler.alerts.ack(alert_id, by=by)
    if as_json:
        put_json(alert_form(alert))
    else:
        put(f"{alert.id} {alert.state}")


@command.command(
    epilog="""\b
Examples:
  butler alerts silence --for 2h --rule 'queue-*' --subject mail --reason "migration"
  butler alerts silence --list
  butler alerts silence --end 0195f3a0-…
"""
)
@click.option("--for", "for_s", type=DURATION, metavar="DURATION", help="How long: 30m, 2h, 1d.")
@click.option("--rule", default="*", show_default=True, metavar="PATTERN", help="Which rules.")
@click.option("--subject", default="*", show_default=True, metavar="PATTERN", help="About what.")
@click.option("--reason", default="", metavar="TEXT", help="Why; shown with the silence.")
@click.option("--by", metavar="NAME", help="Who silences.")
@click.option("--list", "only_list", is_flag=True, help="List the silences that have not ended.")
@click.option("--end", "end_id", metavar="SILENCE", help="End this one now.")
@json_option
@app_options
def silence(
    *,
    for_s: float | None,
    only_list: bool,
    end_id: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Tell nobody of matching alerts for a while; they open and are resolved all the same."""
    if sum((for_s is not None, only_list, end_id is not None)) != 1:
        raise click.UsageError("give one of --for DURATION, --list and --end SILENCE")
    with open_ledger() as butler:
        if for_s is not None:
            words = {name: given[name] for name in ("rule", "subject", "reason", "by")}
            found = [butler.alerts.silence(for_s=for_s, **words)]
        elif end_id is not None:
            if not butler.alerts.end_silence(end_id):
                raise click.ClickException(
                    f"no silence {end_id} holds: butler alerts silence --list"
                )
            found = []
        else:
            found = butler.alerts.silences()
    if as_json:
        put_json({"silences": [_silence_form(each) for each in found]})
    elif end_id is None:
        put_table(SILENCE_COLUMNS, map(_silence_row, found), empty="nothing is silenced")


@command.command(epilog="\b\nExample:\n  butler alerts test ops")
@click.argument("channel", metavar="CHANNEL")
@app_options
def test(channel: str, **_: object) -> None:
    """Send a test message through a channel of alert_channels, from this machine."""
    with open_ledger() as butler:
        butler.alerts.test(channel)
    say(f"{channel} took a test message")


def alert_form(alert: Alert) -> dict[str, Any]:
    """An alert as JSON."""
    form = asdict(alert)
    for name in ("since", "opened_at", "updated_at", "acknowledged_at", "escalated_at"):
        form[name] = time_form(form[name])
    form["resolved_at"] = time_form(alert.resolved_at)
    return form


def _row(alert: Alert) -> tuple[object, ...]:
    return (alert.id, _state(alert), alert.severity, when(alert.since), alert.summary, alert.rule)


def _block(alert: Alert) -> tuple[str, ...]:
    """An alert for a terminal, where its columns would not fit."""
    since = f"{_state(alert)}, {alert.severity}, since {when(alert.since)}"
    said = [alert.summary, since, f"{alert.rule}  {alert.id}"]
    if alert.cause:
        cause = alert.cause
        short = cause if len(cause) <= LONGEST_CAUSE else f"{cause[: LONGEST_CAUSE - 1]}…"
        said.insert(1, f"likely cause: {short}")
    return tuple(said)


def _state(alert: Alert) -> str:
    return f"{alert.state}, silenced" if alert.silenced else str(alert.state)


def _fields(alert: Alert) -> list[tuple[str, object]]:
    return [
        ("id", alert.id),
        ("what", alert.summary),
        ("state", alert.state),
        ("severity", alert.severity),
        ("rule", alert.rule),
        ("about", alert.subject),
        ("value", f"{alert.value:g}"),
        ("since", at(alert.since)),
        ("opened", at(alert.opened_at)),
        ("likely cause", alert.cause or None),
        ("what to do", alert.remedy or None),
        ("for example", alert.execution_id),
        ("acknowledged", at(alert.acknowledged_at)),
        ("acknowledged by", alert.acknowledged_by),
        ("escalated", at(alert.escalated_at)),
        ("resolved", at(alert.resolved_at)),
        ("silenced", "nobody was told" if alert.silenced else None),
        ("still to be told", ", ".join(n.channel for n in alert.outbox) or None),
    ]


def _silence_form(silence: Silence) -> dict[str, Any]:
    form = asdict(silence)
    form["starts_at"], form["ends_at"] = time_form(silence.starts_at), time_form(silence.ends_at)
    return form


def _silence_row(silence: Silence) -> tuple[object, ...]:
    return (
        silence.id,
        silence.rule,
        silence.subject,
        at(silence.starts_at),
        at(silence.ends_at),
        silence.created_by,
        silence.reason,
    )
