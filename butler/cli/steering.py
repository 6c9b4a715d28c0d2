"""What changes executions: ``butler executions cancel``, ``retry``, ``rerun`` and ``delete``.

Each takes ids as arguments, or one a line on stdin (``-``), so that a list can be piped in. What
could not be done is said on stderr and makes the exit code 1; the others are done all the same.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

import click

from butler.cli import EXIT_FAILED
from butler.cli.opening import open_ledger
from butler.cli.options import app_options, dry_run_option, json_option
from butler.cli.printing import printable, put, put_json, say
from butler.errors import ButlerError
from butler.executions import ExecutionStatus
from butler.lifecycle import RETRYABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from butler.app import Butler
    from butler.executions import Execution
    from butler.storage.records import Moved

Command = TypeVar("Command", bound="Callable[..., Any]")

EPILOG = """\b
Examples:
  butler executions {name} 0198c0de-0000-7000-8000-000000000000
  butler executions list {filter} --ids | butler executions {name} -

\b
Exit codes:
  0  all of them
  1  not all of them: stderr says which, and why
  2  wrong usage
"""


def _ids_argument(command: Command) -> Command:
    add = click.argument("ids", metavar="ID...", nargs=-1, required=True)
    return add(command)


def _epilog(name: str, example_filter: str) -> str:
    return EPILOG.format(name=name, filter=example_filter)


@click.command(epilog=_epilog("cancel", "--task send_email --status queued"))
@_ids_argument
@dry_run_option
@json_option
@app_options
def cancel(ids: tuple[str, ...], *, dry_run: bool, as_json: bool, **_: object) -> None:
    """End executions that wait, ask those that run to end. - reads ids from stdin."""
    with open_ledger() as butler:
        if dry_run:
            _foretell(butler, _read(ids), _would_cancel, as_json=as_json)
            return
        moves = butler.cancel_many(_read(ids))
    _report(moves, _cancelled, refused="it is over: {before}", as_json=as_json)


@click.command(epilog=_epilog("retry", "--status failed --since 1h"))
@_ids_argument
@dry_run_option
@json_option
@app_options
def retry(ids: tuple[str, ...], *, dry_run: bool, as_json: bool, **_: object) -> None:
    """Open failed and cancelled executions again, under their ids. - reads ids from stdin."""
    with open_ledger() as butler:
        if dry_run:
            _foretell(butler, _read(ids), _would_retry, as_json=as_json)
            return
        moves = butler.retry_many(_read(ids))
    _report(
        moves,
        lambda _: "queued again",
        refused="it is {before}: only a failed or cancelled one whose unique key is free can be "
        "retried (rerun makes a new one of any)",
        as_json=as_json,
    )


@click.command(epilog=_epilog("delete", "--status cancelled --until 30d"))
@_ids_argument
@dry_run_option
@json_option
@app_options
def delete(ids: tuple[str, ...], *, dry_run: bool, as_json: bool, **_: object) -> None:
    """Remove finished executions and their history, for good. - reads ids from stdin."""
    with open_ledger() as butler:
        if dry_run:
            _foretell(butler, _read(ids), _would_delete, as_json=as_json)
            return
        moves = butler.delete_many(_read(ids))
    _report(
        moves,
        lambda _: "deleted",
        refused="it is {before}: only a finished one can be deleted; cancel it first",
        as_json=as_json,
    )


@click.command(epilog=_epilog("rerun", "--status succeeded --task report"))
@_ids_argument
@json_option
@app_options
def rerun(ids: tuple[str, ...], *, as_json: bool, **_: object) -> None:
    """Make a new execution of the same request, in whatever state the old one is.

    Prints the new ids. - reads ids from stdin.
    """
    outcomes: list[dict[str, Any]] = []
    with open_ledger() as butler:
        for execution_id in _read(ids):
            try:
                handle = butler.rerun(execution_id)
            except ButlerError as error:
                outcomes.append({"id": execution_id, "done": False, "why": str(error)})
            else:
                new = {"new_id": handle.id, "created": handle.created}
                outcomes.append({"id": execution_id, "done": True, **new})
    if as_json:
        put_json({"executions": outcomes})
    for outcome in outcomes:
        if not outcome["done"]:
            say(f"{printable(outcome['id'])}: {printable(outcome['why'])}")
        elif not as_json:
            put(str(outcome["new_id"]))
    _end(all(outcome["done"] for outcome in outcomes))


STEERING = (cancel, retry, rerun, delete)


def _read(ids: Sequence[str]) -> list[str]:
    """The ids that were given, each once; ``-`` stands for those on stdin."""
    if "-" not in ids:
        return list(dict.fromkeys(ids))
    lines = sys.stdin.read().split()
    return list(dict.fromkeys([*(each for each in ids if each != "-"), *lines]))


def _report(
    moves: Iterable[Moved], done: Callable[[Moved], str], *, refused: str, as_json: bool
) -> None:
    outcomes: list[dict[str, Any]] = []
    for move in moves:
        if move.changed:
            outcomes.append({"id": move.id, "done": True, "outcome": done(move)})
            continue
        missing = move.before is None
        why = "there is no such execution" if missing else refused.format(before=move.before)
        outcomes.append({"id": move.id, "done": False, "why": why})
    if as_json:
        put_json({"executions": outcomes})
    for outcome in outcomes:
        if not outcome["done"]:
            say(f"{printable(outcome['id'])}: {outcome['why']}")
        elif not as_json:
            put(f"{outcome['id']}  {outcome['outcome']}")
    _end(all(outcome["done"] for outcome in outcomes))


def _foretell(
    butler: Butler,
    ids: Sequence[str],
    judge: Callable[[Execution], str | None],
    *,
    as_json: bool,
) -> None:
    """What would be done; ``judge`` says it, or None where nothing would."""
    outcomes: list[dict[str, Any]] = []
    for execution_id in ids:
        execution = butler.get(execution_id)
        would = None if execution is None else judge(execution)
        status = None if execution is None else str(execution.status)
        outcomes.append({"id": execution_id, "status": status, "would": would})
    if as_json:
        put_json({"dry_run": True, "executions": outcomes})
    else:
        for outcome in outcomes:
            state = outcome["status"] or "not there"
            would = outcome["would"] or "nothing would be done"
            put(f"{printable(outcome['id'])}  {state}: {would}")
    say("dry run: nothing was changed")


def _cancelled(move: Moved) -> str:
    return "asked to end" if move.after is ExecutionStatus.RUNNING else "cancelled"


def _would_cancel(execution: Execution) -> str | None:
    if execution.status.finished:
        return None
    running = execution.status is ExecutionStatus.RUNNING
    return "would be asked to end" if running else "would be cancelled"


def _would_retry(execution: Execution) -> str | None:
    return "would be queued again" if execution.status in RETRYABLE else None


def _would_delete(execution: Execution) -> str | None:
    return "would be deleted" if execution.status.finished else None


def _end(done: object) -> None:
    if not done:
        click.get_current_context().exit(EXIT_FAILED)
