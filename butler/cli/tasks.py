"""``butler tasks``: looking at the tasks that can be enqueued."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from butler.cli.forms import task_form
from butler.cli.opening import open_app
from butler.cli.options import app_options, json_option
from butler.cli.printing import printable, put_json, put_table, say
from butler.errors import did_you_mean

if TYPE_CHECKING:
    from butler.app import Butler
    from butler.storage.records import TaskDefinition

COLUMNS = ("TASK", "QUEUE", "TAGS", "ATTEMPTS", "TIME LIMIT", "REQUEST", "DESCRIPTION")


@click.group(epilog="\b\nExample:\n  butler tasks list --tag mail")
def command() -> None:
    """Look at the tasks that can be enqueued."""


@command.command(
    name="list",
    epilog="""\b
Examples:
  butler tasks list
  butler tasks list --tag mail --app shop.main:butler
  butler tasks list --json | jq '.tasks[] | {name, request_schema}'
""",
)
@click.option("--tag", metavar="TAG", help="Only those with this tag.")
@json_option
@app_options
def list_tasks(*, tag: str | None, as_json: bool, **_: object) -> None:
    """List tasks: those workers have announced, and with an app also those of its code."""
    with open_app() as butler:
        tasks = [task for task in _known(butler) if tag is None or tag in task.tags]
    if as_json:
        put_json({"tasks": [task_form(task) for task in tasks]})
    else:
        put_table(COLUMNS, map(_row, tasks), empty="no tasks: no worker has announced any yet")


def say_if_unannounced(butler: Butler, name: str) -> None:
    """For a task of which there is nothing to show: its name may be misspelt."""
    known = {task.name for task in butler.storage.task_definitions()}
    if name not in known:
        hint = did_you_mean(name, known)
        say(f'no worker has announced a task named "{printable(name)}"{hint}')


def _known(butler: Butler) -> list[TaskDefinition]:
    """By name; where both know a task, as the code here defines it."""
    announced = {task.name: task for task in butler.storage.task_definitions()}
    here = {task.name: task for task in butler.tasks()}
    return [task for _, task in sorted((announced | here).items())]


def _row(task: TaskDefinition) -> tuple[object, ...]:
    limit = task.options.get("timeout_s")
    return (
        task.name,
        task.options.get("queue"),
        ", ".join(task.tags),
        task.options.get("max_attempts"),
        "none" if limit is None else f"{limit:g} s",
        _fields(task),
        task.description.partition("\n")[0],
    )


def _fields(task: TaskDefinition) -> str:
    """The request in a few words: its fields, or its type."""
    schema = task.request_schema
    reference = str(schema.get("$ref", "")).rpartition("/")[2]
    schema = schema.get("$defs", {}).get(reference, schema)
    if "properties" in schema:
        needed = schema.get("required", ())
        return ", ".join(f if f in needed else f"{f}?" for f in schema["properties"])
    kind = schema.get("type", "any")
    return "" if kind == "null" else str(kind)
