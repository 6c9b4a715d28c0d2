"""``butler executions``: looking at executions; ``steering`` has what changes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from butler.cli.forms import attempt_form, event_form, execution_form, wait_form
from butler.cli.logs import logs
from butler.cli.opening import open_ledger
from butler.cli.options import app_options, json_option
from butler.cli.printing import at, printable_lines, put, put_fields, put_json, put_table, say, when
from butler.cli.steering import STEERING
from butler.cli.times import PAST
from butler.cli.tree import tree
from butler.cli.watching import watch
from butler.durations import seconds_text
from butler.executions import ExecutionStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from butler.app import Butler
    from butler.executions import Attempt, Execution
    from butler.storage.limits import Prospect
    from butler.storage.records import ExecutionEvent

COLUMNS = ("ID", "TASK", "STATUS", "QUEUE", "ATTEMPTS", "CREATED", "NOTE")
NOTE_CHARS = 60


@click.group(epilog="\b\nExample:\n  butler executions list --status failed --since 1h")
def command() -> None:
    """Look at executions, and steer them."""


for _command in (*STEERING, watch, logs, tree):
    command.add_command(_command)


@command.command(
    name="list",
    epilog="""\b
Examples:
  butler executions list --status failed --status cancelled --since 2h
  butler executions list --task send_email --ids | xargs butler executions cancel
  butler executions list --json --limit 1000 | jq '.executions[].id'
""",
)
@click.option(
    "--status",
    multiple=True,
    type=click.Choice([str(status) for status in ExecutionStatus]),
    help="Only in this state; may be given several times.",
)
@click.option("--task", metavar="NAME", help="Only of this task.")
@click.option("--queue", metavar="NAME", help="Only of this queue.")
@click.option("--tag", metavar="TAG", help="Only with this tag.")
@click.option("--user", "user_id", metavar="ID", help="Only of this user id.")
@click.option("--parent", "parent_id", metavar="ID", help="Only those enqueued by this execution.")
@click.option("--unique-key", metavar="KEY", help="Only with this unique key.")
@click.option("--text", metavar="TEXT", help="Only with this in their error message.")
@click.option("--since", type=PAST, help="Only created since then: 2h, 3d, or an ISO 8601 time.")
@click.option("--until", type=PAST, help="Only created before then.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=50,
    show_default=True,
    help="How many, the newest first.",
)
@click.option("--cursor", metavar="CURSOR", help="Go on where a page ended: its next_cursor.")
@click.option("--ids", "only_ids", is_flag=True, help="Print ids alone, one a line.")
@json_option
@app_options
def list_executions(
    *,
    since: datetime | None,
    until: datetime | None,
    only_ids: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """List executions, the newest first; every filter that is given must hold."""
    for setting in ("app", "app_dir"):
        filters.pop(setting)
    with open_ledger() as butler:
        page = butler.list(created_after=since, created_before=until, **filters)
        waits = {} if only_ids else _waits(butler, page.executions)
    if as_json:
        forms = [_form(execution, waits.get(execution.id, [])) for execution in page.executions]
        put_json({"executions": forms, "next_cursor": page.next_cursor})
        return
    if only_ids:
        for execution in page.executions:
            put(execution.id)
    else:
        rows = [_row(execution, waits.get(execution.id, [])) for execution in page.executions]
        put_table(COLUMNS, rows, empty="no executions")
    if page.next_cursor is not None:
        say(f"there are more: --cursor {page.next_cursor}")


@command.command(
    epilog="\b\nExample:\n  butler executions show 0198c0de-0000-7000-8000-000000000000"
)
@click.argument("execution_id", metavar="ID")
@json_option
@app_options
def show(execution_id: str, *, as_json: bool, **_: object) -> None:
    """Show all that is known of one execution: request, result, error, attempts, progress."""
    with open_ledger() as butler:
        execution = butler.get_or_raise(execution_id)
        events = butler.storage.events(execution.id)
        waits = _waits(butler, [execution]).get(execution.id, [])
    if as_json:
        put_json(
            {
                **_form(execution, waits),
                "attempts": [attempt_form(attempt) for attempt in execution.attempts],
                "events": [event_form(event) for event in events],
            }
        )
        return
    put_fields(_fields(execution, waits))
    if execution.error is not None and execution.error.traceback:
        put(f"\ntraceback\n{printable_lines(execution.error.traceback.rstrip(), indent='  ')}")
    if execution.attempts:
        put("")
        put_table(ATTEMPT_COLUMNS, map(_attempt_row, execution.attempts), empty="")
    if events:
        put("")
        put_table(EVENT_COLUMNS, map(_event_row, events), empty="")


ATTEMPT_COLUMNS = ("ATTEMPT", "OUTCOME", "COUNTED", "STARTED", "TOOK", "WORKER", "ERROR")
EVENT_COLUMNS = ("AT", "ATTEMPT", "WHAT", "PERCENT", "MESSAGE")


def _waits(butler: Butler, executions: Iterable[Execution]) -> dict[str, list[Prospect]]:
    """By id, what keeps those that are queued; one question for all of them."""
    queued = [each.id for each in executions if each.status is ExecutionStatus.QUEUED]
    return butler.limits.waits_of(queued) if queued else {}


def _form(execution: Execution, waits: Sequence[Prospect]) -> dict[str, Any]:
    return {**execution_form(execution), "waits_for": [wait_form(wait) for wait in waits]}


def _row(execution: Execution, waits: Sequence[Prospect]) -> tuple[object, ...]:
    used = f"{execution.attempts_used}/{execution.max_attempts}"
    return (
        execution.id,
        execution.task,
        execution.status,
        execution.queue,
        used,
        when(execution.created_at),
        _note(execution, waits),
    )


def _note(execution: Execution, waits: Sequence[Prospect]) -> str | None:
    """What is worth knowing next, in a few words."""
    note: str | None = None
    match execution.status:
        case ExecutionStatus.SCHEDULED:
            note = f"due {when(execution.run_at)}"
        case ExecutionStatus.QUEUED if waits:
            note = f"waits for {waits[0]}"
        case ExecutionStatus.RUNNING if execution.cancel_requested_at:
            note = "asked to end"
        case ExecutionStatus.RUNNING if execution.progress:
            note = f"{execution.progress.percent:g} % {execution.progress.message or ''}".strip()
        case _ if execution.error:
            note = f"{execution.error.type}: {execution.error.message}"
    return note if note is None or len(note) <= NOTE_CHARS else f"{note[: NOTE_CHARS - 1]}…"


def _fields(execution: Execution, waits: Sequence[Prospect]) -> list[tuple[str, object]]:
    error, progress = execution.error, execution.progress
    limit = execution.timeout_s
    counted = "" if not execution.uncounted else f" ({execution.uncounted} more did not count)"
    return [
        ("id", execution.id),
        ("task", execution.task),
        ("status", execution.status),
        ("queue", f"{execution.queue}, {execution.priority} priority"),
        *(("waits for", wait) for wait in waits),
        ("attempts", f"{execution.attempts_used} of {execution.max_attempts}{counted}"),
        ("time limit", "none" if limit is None else seconds_text(limit)),
        ("request", json.dumps(execution.request, ensure_ascii=False)),
        ("result", _result(execution)),
        ("error", None if error is None else f"{error.type}: {error.message}"),
        (
            "progress",
            None if progress is None else f"{progress.percent:g} % {progress.message or ''}",
        ),
        ("tags", ", ".join(execution.tags) or None),
        ("user", execution.user_id),
        ("unique key", execution.unique_key),
        ("parent", execution.parent_id),
        ("rerun of", execution.rerun_of),
        ("worker", execution.worker_id),
        ("created", at(execution.created_at)),
        ("due", at(execution.run_at)),
        ("queued", at(execution.queued_at)),
        ("started", at(execution.started_at)),
        ("asked to end", at(execution.cancel_requested_at)),
        ("finished", at(execution.finished_at)),
        ("took", _took(execution.started_at, execution.finished_at)),
    ]


def _result(execution: Execution) -> str | None:
    if execution.status is not ExecutionStatus.SUCCEEDED:
        return None
    return json.dumps(execution.result, ensure_ascii=False)


def _took(started: datetime | None, finished: datetime | None) -> str | None:
    if started is None or finished is None:
        return None
    return seconds_text(max(0.0, (finished - started).total_seconds()))


def _attempt_row(attempt: Attempt) -> tuple[object, ...]:
    error = attempt.error
    return (
        attempt.number,
        attempt.outcome,
        "yes" if attempt.counted else "no",
        at(attempt.started_at),
        _took(attempt.started_at, attempt.finished_at),
        attempt.worker_id,
        None if error is None else f"{error.type}: {error.message}",
    )


def _event_row(event: ExecutionEvent) -> tuple[object, ...]:
    percent = None if event.percent is None else f"{event.percent:g}"
    return (at(event.at), event.attempt, event.kind, percent, event.message)
