"""``butler limits``: what may run at once and how often, and what operators say about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from butler.checking.limits import may_make
from butler.cli.forms import limit_form
from butler.cli.opening import open_ledger
from butler.cli.options import app_options, dry_run_option, json_option
from butler.cli.printing import printable, put, put_json, put_table, say
from butler.errors import ButlerError, InvalidOption, did_you_mean
from butler.limiting import MAX_CONCURRENCY, QUEUE_PREFIX, parse_rate

if TYPE_CHECKING:
    from collections.abc import Callable

    from butler.app import Butler
    from butler.storage.limits import LimitRow

Command = TypeVar("Command", bound="Callable[..., Any]")

COLUMNS = ("LIMIT", "KIND", "RUNNING", "AT ONCE", "RATE", "WAITING", "SAID BY", "STATE")


class RateText(click.ParamType):  # type: ignore[type-arg]
    """``100/minute``: a text that `parse_rate` understands."""

    name = "rate"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """The text as it was given."""
        try:
            return parse_rate(value).text
        except InvalidOption as error:
            self.fail(str(error), param, ctx)


def rule_options(command: Command) -> Command:
    """What can be allowed under a name."""
    count = click.IntRange(1, MAX_CONCURRENCY)
    for add in (
        click.option("--rate-burst", type=count, metavar="N", help="How many may start together."),
        click.option("--rate", type=RateText(), metavar="RATE", help="Starts, as 100/minute."),
        click.option("--max-concurrency", type=count, metavar="N", help="How many run at once."),
    ):
        command = add(command)
    return command


def check_rule(given: dict[str, Any], *, instead: str) -> dict[str, Any]:
    """What was given of a rule; a usage error for nothing at all, or for both and ``instead``."""
    rule = {part: given[part] for part in ("max_concurrency", "rate", "rate_burst")}
    if rule["rate_burst"] is not None and rule["rate"] is None:
        raise click.UsageError("--rate-burst needs a --rate, as --rate 100/minute")
    says_something = any(value is not None for value in rule.values())
    if says_something == given[instead]:
        raise click.UsageError(f"pass --max-concurrency, --rate or both; or --{instead} alone")
    return rule


@click.group(
    epilog="\b\nExamples:\n  butler limits list\n  butler limits set render --rate 5/second"
)
def command() -> None:
    """Look at limits, and say what is allowed."""


@command.command(
    name="list",
    epilog="""\b
Examples:
  butler limits list
  butler limits list --json | jq -r '.limits[] | select(.waiting > 0).name'
""",
)
@json_option
@app_options
def list_limits(*, as_json: bool, **_: object) -> None:
    """List what is limited or paused, and the keys under which something runs.

    WAITING stands aside for that limit; what a paused queue has on its lists is not counted here.
    """
    with open_ledger() as butler:
        rows = butler.limits.list()
        waiting = butler.limits.waiting(row.name for row in rows)
    if as_json:
        put_json({"limits": [limit_form(row, waiting=waiting[row.name]) for row in rows]})
    else:
        cells = [_row(row, waiting[row.name]) for row in rows]
        put_table(COLUMNS, cells, empty="no limits: nothing is limited or paused")


@command.command(
    name="set",
    epilog="""\b
Examples:
  butler limits set render --max-concurrency 2
  butler limits set customer:42 --max-concurrency 5 --rate 100/minute --rate-burst 20
  butler limits set queue:mail --rate 10/second
  butler limits set render --unlimited
""",
)
@click.argument("name")
@rule_options
@click.option("--unlimited", is_flag=True, help="Allow anything, whatever code says.")
@json_option
@app_options
def set_limit(name: str, *, as_json: bool, **given: Any) -> None:
    """Allow this under a name from now on, in place of all that code says about it.

    NAME is a task's, a key's, or queue: and a queue's. What waits and may go now is woken.
    """
    rule = check_rule(given, instead="unlimited")
    with open_ledger() as butler:
        _warn_of_strange_name(butler, name)
        butler.limits.set(name, **rule)
        row = _find(butler, name)
    say(f"{printable(name)}: {row.rule}")
    if as_json:
        put_json(limit_form(row))


@command.command(epilog="\b\nExample:\n  butler limits remove render")
@click.argument("name")
@dry_run_option
@json_option
@app_options
def remove(name: str, *, dry_run: bool, as_json: bool, **_: object) -> None:
    """Take back what was said about a name: code's word holds again."""
    with open_ledger() as butler:
        row = _find(butler, name)
        if row.given is None:
            raise ButlerError(
                f'nothing was said about "{name}": its limit is declared by code; '
                "`butler limits set` goes over it"
            )
        if not dry_run:
            butler.limits.reset(name)
        left = _left(butler, name, row)
    if as_json:
        put_json({"name": name, "dry_run": dry_run, "was": str(row.given)})
    else:
        put(f"{printable(name)}: {'would be removed' if dry_run else 'removed'}; {left}")


def _left(butler: Butler, name: str, row: LimitRow) -> str:
    """What holds without what an operator has said."""
    if row.declared is not None:
        return f"code allows {row.declared}"
    if row.kind == "key" and any(
        may_make(task, name) for task in butler.storage.task_definitions()
    ):
        return "each task keeps to its own limit for it"
    return "anything goes"


def _find(butler: Butler, name: str) -> LimitRow:
    rows = {row.name: row for row in butler.limits.list()}
    if name not in rows:
        raise ButlerError(f'no limit named "{name}"{did_you_mean(name, rows)}')
    return rows[name]


def _warn_of_strange_name(butler: Butler, name: str) -> None:
    """A name that nothing has is taken for a key's; often it is a task's, misspelt."""
    tasks = {task.name for task in butler.storage.task_definitions()}
    known = tasks | {row.name for row in butler.limits.list()}
    if name not in known and not name.startswith(QUEUE_PREFIX):
        say(f'no task named "{printable(name)}": taken for a key{did_you_mean(name, tasks)}')


def _row(row: LimitRow, waiting: int) -> tuple[object, ...]:
    rule = row.rule
    full = rule.max_concurrency is not None and row.running >= rule.max_concurrency
    return (
        row.name,
        row.kind,
        row.running,
        rule.max_concurrency,
        rule.rate,
        waiting,
        _said_by(row),
        "paused" if row.paused_at is not None else "full" if full else "",
    )


def _said_by(row: LimitRow) -> str:
    if row.given is not None:
        return "operator"
    return "" if row.rule.says_nothing else "code"
