"""``butler queues``: looking at queues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from butler.cli.forms import rule_form, worker_state
from butler.cli.limits import check_rule, rule_options
from butler.cli.opening import open_ledger
from butler.cli.options import app_options, json_option
from butler.cli.printing import printable, put_json, put_table, say
from butler.errors import did_you_mean
from butler.executions import ExecutionStatus, Priority
from butler.limiting import QUEUE_PREFIX, LimitRule, make_rule
from butler.queue_facts import QueueFacts
from butler.storage.records import ExecutionQuery

if TYPE_CHECKING:
    from butler.app import Butler
    from butler.storage.limits import LimitRow

UNFINISHED = (
    ExecutionStatus.SCHEDULED,
    ExecutionStatus.QUEUED,
    ExecutionStatus.RUNNING,
    ExecutionStatus.RETRYING,
)
COLUMNS = (
    "QUEUE",
    "HIGH",
    "NORMAL",
    "LOW",
    "SCHEDULED",
    "QUEUED",
    "RUNNING",
    "RETRYING",
    "WORKERS",
    "LIMIT",
    "STATE",
)


@click.group(epilog="\b\nExamples:\n  butler queues list\n  butler queues pause mail")
def command() -> None:
    """Look at queues, pause, resume and limit them."""


@command.command(epilog="\b\nExample:\n  butler queues pause mail")
@click.argument("queue")
@json_option
@app_options
def pause(queue: str, *, as_json: bool, **_: object) -> None:
    """Start nothing of a queue from now on; what runs goes on, what comes waits."""
    with open_ledger() as butler:
        _warn_of_strange_queue(butler, queue)
        butler.queues.pause(queue)
    say(f"queue {printable(queue)} is paused")
    if as_json:
        put_json({"queue": queue, "paused": True})


@command.command(epilog="\b\nExample:\n  butler queues resume mail")
@click.argument("queue")
@json_option
@app_options
def resume(queue: str, *, as_json: bool, **_: object) -> None:
    """Let a paused queue go on."""
    with open_ledger() as butler:
        butler.queues.resume(queue)
    say(f"queue {printable(queue)} goes on")
    if as_json:
        put_json({"queue": queue, "paused": False})


@command.command(
    epilog="""\b
Examples:
  butler queues limit mail --max-concurrency 10 --rate 100/minute
  butler queues limit mail --remove
"""
)
@click.argument("queue")
@rule_options
@click.option("--remove", is_flag=True, help="Let the queue be without a limit of its own.")
@json_option
@app_options
def limit(queue: str, *, as_json: bool, **given: Any) -> None:
    """Limit all executions of a queue together, whatever their tasks; what is not given is free."""
    rule = check_rule(given, instead="remove")
    with open_ledger() as butler:
        if not given["remove"]:
            _warn_of_strange_queue(butler, queue)
        butler.queues.limit(queue, **rule)
    allowed = make_rule(**rule)
    say(f"queue {printable(queue)}: {allowed}")
    if as_json:
        put_json({"queue": queue, "limit": rule_form(allowed)})


@command.command(
    name="list",
    epilog="""\b
Examples:
  butler queues list
  butler queues list --json | jq '.queues[] | select(.workers == 0)'
""",
)
@json_option
@app_options
def list_queues(*, as_json: bool, **_: object) -> None:
    """List queues: what waits in Redis by priority, what the ledger knows, and who serves them.

    HIGH, NORMAL and LOW are what waits in Redis, on the lists and in turn beside them; the states
    are the ledger's. What is QUEUED and waits in neither stands aside for a limit, or is in a
    worker's hand. STATE also says how many fair keys take turns on a queue.
    """
    with open_ledger() as butler:
        limits = {
            row.name.removeprefix(QUEUE_PREFIX): row
            for row in butler.limits.list()
            if row.kind == "queue"
        }
        names = sorted(_names(butler) | limits.keys())
        forms = [_form(butler, name, limits.get(name)) for name in names]
    if as_json:
        put_json({"queues": forms})
    else:
        put_table(COLUMNS, map(_row, forms), empty="no queues")


def _warn_of_strange_queue(butler: Butler, queue: str) -> None:
    """It may be the first word of a queue to come; often it is one there is, misspelt."""
    known = _names(butler)
    if queue not in known:
        hint = did_you_mean(queue, known)
        say(f'nothing has named a queue "{printable(queue)}" yet{hint}')


def _names(butler: Butler) -> set[str]:
    """Queues that were pushed to, that a task names, or that a living worker serves."""
    served = {name for worker in butler.storage.workers() for name in worker.queues}
    named = {task.options.get("queue", "default") for task in butler.storage.task_definitions()}
    return QueueFacts(butler.redis).names() | served | named


def _form(butler: Butler, name: str, limit: LimitRow | None) -> dict[str, Any]:
    facts = QueueFacts(butler.redis)
    depths = facts.depths(name)
    workers = [
        worker
        for worker in butler.storage.workers()
        if name in worker.queues and worker_state(worker) == "alive"
    ]
    return {
        "name": name,
        "waiting": {str(priority): depths[priority] for priority in Priority},
        # A state at a time: each has an index of its own, and the finished ones are not counted.
        "executions": {str(status): _count(butler, name, status) for status in UNFINISHED},
        "fair_keys": facts.fair_keys(name),
        "workers": len(workers),
        "limit": rule_form(LimitRule() if limit is None else limit.rule),
        "paused": limit is not None and limit.paused_at is not None,
    }


def _count(butler: Butler, name: str, status: ExecutionStatus) -> int:
    query = ExecutionQuery(queue=name, status=frozenset({status}))
    return butler.storage.count(query).get(status, 0)


def _row(form: dict[str, Any]) -> tuple[object, ...]:
    rule = make_rule(**form["limit"])
    return (
        form["name"],
        *form["waiting"].values(),
        *form["executions"].values(),
        form["workers"],
        "" if rule.says_nothing else rule,
        _state(form),
    )


def _state(form: dict[str, Any]) -> str:
    keys = form["fair_keys"]
    said = ("paused" if form["paused"] else "", f"{keys} in turn" if keys else "")
    return ", ".join(each for each in said if each)
