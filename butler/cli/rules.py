"""``butler rules``: looking at alert rules, and changing them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import click

from butler.cli.opening import open_ledger
from butler.cli.options import app_options, dry_run_option, json_option
from butler.cli.printing import put, put_fields, put_json, put_table
from butler.cli.times import DURATION
from butler.durations import seconds_text
from butler.monitoring.alerts.rule import RuleKind, Severity

if TYPE_CHECKING:
    from collections.abc import Callable

    from butler.monitoring.alerts.rule import AlertRule

Command = TypeVar("Command", bound="Callable[..., Any]")

COLUMNS = ("RULE", "ON", "THRESHOLD", "APPLIES TO", "SEVERITY", "CHANNELS", "WHAT")
_DURATIONS = (
    ("--window", "window_s", "How far it looks back."),
    ("--open-after", "open_after_s", "How long it must hold before an alert opens."),
    ("--resolve-after", "resolve_after_s", "How long it must not hold before one is resolved."),
    ("--escalate-after", "escalate_after_s", "After how long unacknowledged to escalate."),
)


@click.group(epilog="\b\nExample:\n  butler rules list")
def command() -> None:
    """Look at alert rules, and change them."""


def rule_options(command: Command) -> Command:
    """What can be said about a rule."""
    add_all = [
        click.option("--threshold", type=float, help="From how much on; its unit is the kind's."),
        click.option("--applies-to", metavar="PATTERN", help="About which tasks, queues, jobs …"),
        click.option("--at-least", type=int, metavar="N", help="Executions it needs to judge."),
        click.option("--resolve-below", type=float, metavar="SHARE", help="Of the threshold."),
        click.option("--severity", type=click.Choice([str(s) for s in Severity])),
        click.option("--channel", "channels", multiple=True, metavar="NAME", help="Whom to tell."),
        click.option("--escalate-to", multiple=True, metavar="NAME", help="Whom to tell then."),
        click.option("--on/--off", "enabled", default=None, help="Whether it is held at all."),
        click.option("--description", metavar="TEXT"),
        *(
            click.option(flag, name, type=DURATION, metavar="DURATION", help=text)
            for flag, name, text in _DURATIONS
        ),
    ]
    for add in reversed(add_all):
        command = add(command)
    return command


@command.command(name="list", epilog="\b\nExample:\n  butler rules list --json")
@json_option
@app_options
def list_rules(*, as_json: bool, **_: object) -> None:
    """List all rules, the built-in ones first."""
    with open_ledger() as butler:
        rules = butler.alert_rules.list()
    if as_json:
        put_json({"rules": [asdict(rule) for rule in rules]})
    else:
        put_table(COLUMNS, map(_row, rules), empty="no rules")


@command.command(epilog="\b\nExample:\n  butler rules show queue-waits-too-long")
@click.argument("name", metavar="RULE")
@json_option
@app_options
def show(name: str, *, as_json: bool, **_: object) -> None:
    """Show all of one rule."""
    with open_ledger() as butler:
        _put(butler.alert_rules.get(name), as_json=as_json)


@command.command(
    name="set",
    epilog="""\b
Examples:
  butler rules set queue-waits-too-long --threshold 60 --channel ops
  butler rules set task-runs-too-long --off
""",
)
@click.argument("name", metavar="RULE")
@rule_options
@json_option
@app_options
def set_rule(name: str, *, as_json: bool, **given: Any) -> None:
    """Change what is given of a rule, and leave the rest."""
    with open_ledger() as butler:
        _put(butler.alert_rules.update(name, **_given(given)), as_json=as_json)


@command.command(
    epilog="""\b
Examples:
  butler rules add nightly-mail queue_age --applies-to mail --threshold 30
  butler rules add slow-reports run_time_p95 --applies-to 'report*' --threshold 20 --window 1h
"""
)
@click.argument("name", metavar="RULE")
@click.argument("kind", metavar="KIND", type=click.Choice([str(kind) for kind in RuleKind]))
@rule_options
@json_option
@app_options
def add(name: str, kind: str, *, as_json: bool, **given: Any) -> None:
    """Add a rule; what is not given is as in the built-in rule of its kind."""
    with open_ledger() as butler:
        _put(butler.alert_rules.create(name, kind, **_given(given)), as_json=as_json)


@command.command(epilog="\b\nExample:\n  butler rules delete nightly-mail")
@click.argument("name", metavar="RULE")
@dry_run_option
@json_option
@app_options
def delete(name: str, *, dry_run: bool, as_json: bool, **_: object) -> None:
    """Remove a rule; a built-in one goes back to what it was."""
    with open_ledger() as butler:
        rule = butler.alert_rules.get(name)
        if not dry_run:
            butler.alert_rules.delete(name)
    if as_json:
        put_json({"rule": name, "dry_run": dry_run, "built_in": rule.built_in})
        return
    done = "back to what it was" if rule.built_in else "deleted"
    put(f"{name} would be {done}" if dry_run else f"{name} {done}")


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a rule that were given."""
    aside = ("app", "app_dir")
    return {
        name: value
        for name, value in options.items()
        if name not in aside and value is not None and value != ()
    }


def _put(rule: AlertRule, *, as_json: bool) -> None:
    if as_json:
        put_json(asdict(rule))
    else:
        put_fields(_fields(rule))


def _row(rule: AlertRule) -> tuple[object, ...]:
    return (
        rule.name,
        "on" if rule.enabled else "off",
        f"{rule.threshold:g}" if rule.threshold else None,
        rule.applies_to,
        rule.severity,
        ", ".join(rule.channels) or "all",
        rule.description or rule.kind,
    )


def _fields(rule: AlertRule) -> list[tuple[str, object]]:
    escalates = rule.escalate_after_s
    return [
        ("rule", rule.name),
        ("kind", rule.kind),
        ("what", rule.description or None),
        ("on", "yes" if rule.enabled else "no"),
        ("threshold", f"{rule.threshold:g}"),
        ("applies to", rule.applies_to),
        ("looks back", seconds_text(rule.window_s)),
        ("needs at least", f"{rule.at_least} executions"),
        ("opens after", _seconds(rule.open_after_s)),
        ("resolved after", _seconds(rule.resolve_after_s)),
        ("resolved below", f"{rule.resolve_below:.0%} of the threshold"),
        ("severity", rule.severity),
        ("channels", ", ".join(rule.channels) or "all"),
        ("escalates after", None if escalates is None else _seconds(escalates)),
        ("escalates to", ", ".join(rule.escalate_to) or None),
        ("built in", "yes" if rule.built_in else "no"),
        ("version", rule.version),
    ]


def _seconds(duration_s: float) -> str:
    return seconds_text(duration_s) if duration_s else "at once"
