"""``butler enqueue``: a task by its name, its request as JSON."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from butler.cli import EXIT_FAILED
from butler.cli.opening import open_app
from butler.cli.options import app_options, json_option
from butler.cli.printing import printable, put, put_json, say
from butler.cli.times import DURATION, FUTURE
from butler.errors import TaskCancelled, TaskFailed, WaitTimeout
from butler.executions import Priority

if TYPE_CHECKING:
    from butler.handles import Handle

EXIT_TIMEOUT = 3

EPILOG = """\b
Examples:
  butler enqueue send_email '{"to": "ada@example.org"}'
  butler enqueue report '{"year": 2026}' --queue slow --delay 5m --tag nightly
  butler enqueue report --wait 10m - < request.json

\b
Exit codes:
  0  enqueued; with --wait: it succeeded
  1  nothing was enqueued; with --wait: it failed or was cancelled
  2  wrong usage
  3  with --wait: it was not over in time; it goes on
"""


@click.command(epilog=EPILOG)
@click.argument("task", metavar="TASK")
@click.argument("request_text", metavar="[REQUEST]", required=False)
@click.option("--queue", metavar="NAME", help="Another queue than the task's.")
@click.option(
    "--priority",
    type=click.Choice([str(priority) for priority in Priority]),
    help="Another priority than the task's.",
)
@click.option("--delay", "delay_s", type=DURATION, help="Not before so long: 90s, 5m, 2h, 3d.")
@click.option("--at", "run_at", type=FUTURE, help="Not before this time, as ISO 8601.")
@click.option(
    "--expires-at", type=FUTURE, help="Never after this time, or so long from now: 30m, 2h."
)
@click.option("--unique-key", metavar="KEY", help="Return the unfinished execution that has it.")
@click.option("--replace", is_flag=True, help="Put this request in the place of one that waits.")
@click.option("--user", "user_id", metavar="ID", help="On whose behalf.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="May be given several times.")
@click.option("--max-attempts", type=click.IntRange(min=1), help="The first one included.")
@click.option("--time-limit", "timeout_s", type=DURATION, help="For each attempt: 90s, 5m, 2h.")
@click.option("--wait", "wait_s", type=DURATION, help="Wait so long for the result, and print it.")
@json_option
@app_options
def command(
    task: str, request_text: str | None, *, wait_s: float | None, as_json: bool, **options: Any
) -> None:
    """Enqueue a task by its name; prints the execution's id.

    REQUEST is a JSON value; - reads it from stdin. It is checked against the task's type where the
    app is here, else against the schema that its workers have announced.
    """
    request = _request(request_text)
    for setting in ("app", "app_dir"):
        options.pop(setting)
    with open_app() as butler:
        handle = butler.enqueue(task, request, **options)
        _tell(handle, task)
        if wait_s is None:
            created = {"id": handle.id, "created": handle.created, "pushed": handle.pushed}
            put_json(created) if as_json else put(handle.id)
            return
        _wait(handle, wait_s, as_json=as_json)


def _request(text: str | None) -> Any:
    if text is None:
        return None
    if text == "-":
        text = sys.stdin.read()
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"REQUEST is no JSON: {error}") from error


def _tell(handle: Handle[Any], task: str) -> None:
    if handle.replaced:
        say(f"{printable(task)} waits with this request now: {handle.id}")
    elif not handle.created:
        say(f"{printable(task)} has an unfinished execution with this unique key: {handle.id}")
    elif handle.pushed:
        say(f"{printable(task)} is enqueued: {handle.id}")
    else:
        say(f"{printable(task)} is written, and the scheduler will queue it: {handle.id}")


def _wait(handle: Handle[Any], wait_s: float, *, as_json: bool) -> None:
    code = 0
    try:
        handle.result(timeout_s=wait_s)
    except WaitTimeout as error:
        say(printable(error))
        code = EXIT_TIMEOUT
    except (TaskFailed, TaskCancelled) as error:
        say(printable(error))
        code = EXIT_FAILED
    execution = handle.execution()
    if as_json:
        form = {"id": handle.id, "status": str(execution.status), "result": execution.result}
        put_json(form)
    elif code == 0:
        put_json(execution.result)
    click.get_current_context().exit(code)
