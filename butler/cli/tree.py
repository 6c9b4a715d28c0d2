"""``butler executions tree``: an execution and all that came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from butler.cli.forms import tree_form
from butler.cli.opening import open_ledger
from butler.cli.options import app_options, json_option
from butler.cli.printing import STYLES, on_terminal, printable, put, put_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from butler.trees import ExecutionTree


@click.command(
    epilog="\b\nExample:\n  butler executions tree 0198c0de-0000-7000-8000-000000000000 --depth 2"
)
@click.argument("execution_id", metavar="ID")
@click.option(
    "--depth",
    type=click.IntRange(1, 100),
    default=10,
    show_default=True,
    help="How many generations.",
)
@click.option(
    "--size",
    type=click.IntRange(1, 1000),
    default=1000,
    show_default=True,
    help="How many executions at most.",
)
@json_option
@app_options
def tree(execution_id: str, *, depth: int, size: int, as_json: bool, **_: Any) -> None:
    """Show an execution and those that it enqueued, those that these enqueued, and so on.

    An … stands for children that are left out.
    """
    with open_ledger() as butler:
        found = butler.tree(execution_id, depth=depth, size=size)
    if as_json:
        put_json(tree_form(found))
        return
    for line in _drawn(found):
        put(line)


def _drawn(tree: ExecutionTree, *, lead: str = "", below: str = "") -> Iterator[str]:
    yield lead + _line(tree)
    last = len(tree.children) - 1
    for n, child in enumerate(tree.children):
        more = n < last or tree.cut
        yield from _drawn(
            child,
            lead=below + ("├─ " if more else "└─ "),
            below=below + ("│  " if more else "   "),
        )
    if tree.cut:
        yield f"{below}└─ …"


def _line(tree: ExecutionTree) -> str:
    status = str(tree.status)
    if on_terminal():
        status = click.style(status, fg=STYLES.get(status))
    percent = "" if tree.progress is None else f"  {tree.progress.percent:g} %"
    shown = "" if tree.status.finished else percent
    return f"{tree.id}  {printable(tree.task)}  {status}{shown}"
