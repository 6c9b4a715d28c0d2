"""What the commands print: data on stdout, talk on stderr, and nothing that acts on a terminal.

Names, messages and ids come from anybody. An escape sequence in one could clear the screen or set
a title, a newline could forge a row: whatever is not printable is written as a backslash escape.
JSON is written in ASCII for the same reason. Tables are drawn and coloured where a terminal is;
elsewhere they are plain columns, uncut, for ``grep`` and ``awk``.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from butler.durations import seconds_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NOTHING = "-"
GAP = "  "

# Copied from a table, or short: these columns are never broken, others make room.
UNBROKEN = frozenset(
    {
        *("ID", "STATUS", "STATE", "QUEUE", "ATTEMPTS", "CREATED", "STARTED", "HEARTBEAT"),
        *("LEVEL", "CHECK", "SEVERITY", "ENDED", "FAILED", "RETRIES", "LOST"),
    }
)
STYLES = {
    "succeeded": "green",
    "failed": "red",
    "cancelled": "yellow",
    "running": "cyan",
    "lost": "red",
    "alive": "green",
    "ok": "green",
    "warning": "yellow",
    "problem": "red",
    "healthy": "green",
    "degraded": "yellow",
    "unhealthy": "red",
    "open": "red",
    "acknowledged": "yellow",
    "resolved": "green",
    "critical": "red",
}


def on_terminal() -> bool:
    """Whether data goes to a terminal, and may be drawn."""
    return sys.stdout.isatty()


def printable(text: object) -> str:
    """The text on one line, with everything that a terminal might obey shown as an escape."""
    return "".join(char if char.isprintable() else _escaped(char) for char in str(text))


def printable_lines(text: object, *, indent: str = "") -> str:
    """Several lines, each as `printable`, indented so that none can pass for one of ours."""
    return "\n".join(indent + printable(line) for line in str(text).split("\n"))


def say(text: str) -> None:
    """Talk to the person: on stderr, as it is (pass names through `printable`)."""
    click.echo(text, err=True)


def put(text: str) -> None:
    """Data: on stdout."""
    click.echo(text)


def put_json(value: Any, *, indent: int | None = 2) -> None:
    """Data as JSON, in ASCII; ``indent=None`` puts it on one line."""
    click.echo(json.dumps(value, indent=indent))


def put_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A table on stdout; when there are no rows, ``empty`` on stderr."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        say(empty)
    elif on_terminal():
        _draw(columns, cells)
    else:
        _put_columns([list(columns), *cells])


def put_blocks(blocks: Iterable[Sequence[object]]) -> None:
    """For a terminal, what would not fit in a table: a line each, all but the first indented."""
    for head, *rest in blocks:
        click.secho(printable(head), bold=True)
        for line in rest:
            click.echo(f"    {printable(line)}")


def put_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Named values on stdout, one a line; those that are None are left out."""
    shown = [(name, value) for name, value in fields if value is not None]
    width = max(len(name) for name, _ in shown)
    for name, value in shown:
        text = printable(value)
        style = STYLES.get(text) if on_terminal() else None
        click.echo(f"{name:<{width}}{GAP}{click.style(text, fg=style)}")


def at(moment: datetime | None) -> str | None:
    """A time for people: UTC, in seconds."""
    return None if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}Z"


def when(moment: datetime | None) -> str | None:
    """A time in a table: how long ago where a terminal is, else as `at`."""
    if moment is None or not on_terminal():
        return at(moment)
    ago_s = (datetime.now(UTC) - moment).total_seconds()
    return f"{seconds_text(ago_s)} ago" if ago_s >= 0 else f"in {seconds_text(-ago_s)}"


def _cell(value: object) -> str:
    if value is None or value == "":
        return NOTHING
    return printable(value)


def _put_columns(lines: Sequence[Sequence[str]]) -> None:
    from rich.cells import cell_len

    widths = [max(cell_len(line[n]) for line in lines) for n in range(len(lines[0]))]
    for line in lines:
        padded = (
            text + " " * (width - cell_len(text)) for text, width in zip(line, widths, strict=True)
        )
        click.echo(GAP.join(padded).rstrip())


def _draw(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for name in columns:
        table.add_column(name, no_wrap=name in UNBROKEN, overflow="fold")
    for row in cells:
        table.add_row(*(Text(text, style=STYLES.get(text, "")) for text in row))
    Console(highlight=False, force_terminal=True).print(table)


def _escaped(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
