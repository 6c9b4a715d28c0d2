"""How ``butler top`` looks on a terminal: one screen, drawn anew at each look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from butler.cli.printing import printable
from butler.cli.top_reading import age_s
from butler.durations import seconds_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from butler.cli.top_reading import Look
    from butler.executions import Execution

BARS = "▁▂▃▄▅▆▇█"
LATE_S, VERY_LATE_S = 60.0, 300.0
ID_WIDTH = 36
WIDE = 110
# Head, titles, the gaps between tables, and their heads.
FIXED_LINES = 11


def screen(look: Look, *, height: int, width: int) -> RenderableType:
    """The whole screen; as many running executions and workers as there is room for.

    An execution's id is always whole, because people copy it; bars need some width.
    """
    room = max(2, height - FIXED_LINES - len(look.queues))
    workers = min(len(look.workers), max(1, room // 3))
    return Group(
        _head(look, width=width),
        Text(),
        _queues(look),
        Text(),
        _workers(look, limit=workers),
        Text(),
        _running(look, limit=max(1, room - workers), wide=width >= WIDE),
    )


def spark(values: Sequence[float]) -> str:
    """Numbers as bars, the highest one full."""
    top = max(values, default=0.0)
    if top <= 0:
        return BARS[0] * len(values)
    return "".join(BARS[round(value / top * (len(BARS) - 1))] for value in values)


def _head(look: Look, *, width: int) -> Text:
    slots = sum(worker.concurrency for worker in look.workers)
    head = Text()
    head.append("butler top", style="bold")
    head.append(f"  {look.now:%H:%M:%S}Z  ")
    if look.leader is None:
        head.append("no scheduler leads", style="bold red")
    else:
        head.append("scheduler ok", style="green")
    head.append(f"  running {look.running_total}/{slots}\n")
    rates = Text(f"{look.rates[-1]:.1f} ended/s", style="bold")
    failed = f"  {look.failed_per_s:.1f} failed/s"
    rates.append(failed, style="not bold red" if look.failed_per_s else "not bold dim")
    times = f"  wait p95 {_seconds(look.wait_p95_s)}  run p95 {_seconds(look.run_p95_s)}  "
    rates.append(times, style="not bold")
    room = max(0, width - rates.cell_len)
    rates.append(spark(look.rates[-room:] if room else ()), style="not bold cyan")
    return head.append_text(rates)


def _queues(look: Look) -> Table:
    table = _table("QUEUE", "QUEUED", "OLDEST", "RUNNING", "WORKERS")
    for queue in look.queues:
        alone = queue.queued > 0 and queue.workers == 0
        table.add_row(
            Text(printable(queue.name), style="bold"),
            str(queue.queued),
            Text(_seconds(queue.oldest_s), style=_lateness(queue.oldest_s)),
            str(queue.running),
            Text(str(queue.workers), style="bold red" if alone else ""),
        )
    return table


def _workers(look: Look, *, limit: int) -> Table:
    table = _table("WORKER", "HOST", "SLOTS", "", "QUEUES")
    for worker in look.workers[:limit]:
        table.add_row(
            printable(worker.name),
            printable(worker.host),
            f"{worker.running}/{worker.concurrency}",
            ProgressBar(total=worker.concurrency, completed=worker.running, width=16),
            printable(",".join(worker.queues)),
        )
    _more(table, len(look.workers) - limit)
    return table


def _running(look: Look, *, limit: int, wide: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="reverse", expand=True)
    table.add_column("RUNNING", no_wrap=True, min_width=ID_WIDTH)
    table.add_column("TASK", no_wrap=True, overflow="ellipsis", ratio=3)
    table.add_column("QUEUE", no_wrap=True, overflow="ellipsis", max_width=16 if wide else 8)
    table.add_column("TRY", no_wrap=True, min_width=3)
    table.add_column("FOR", no_wrap=True, min_width=8)
    table.add_column("DONE", no_wrap=True, min_width=4)
    if wide:
        table.add_column("", min_width=10)
        table.add_column("", no_wrap=True, overflow="ellipsis", ratio=2)
    for execution in look.running[:limit]:
        percent, *bar_and_message = _progress(execution)
        table.add_row(
            execution.id,
            Text(printable(execution.task), style="bold"),
            printable(execution.queue),
            str(execution.attempt),
            seconds_text(age_s(execution, look)),
            percent,
            *(bar_and_message if wide else ()),
        )
    _more(table, look.running_total - min(limit, len(look.running)))
    return table


def _progress(execution: Execution) -> tuple[str, RenderableType, str]:
    if execution.progress is None:
        return "", "", ""
    percent = execution.progress.percent
    said = printable(execution.progress.message or "")
    return f"{percent:3.0f}%", ProgressBar(total=100, completed=percent, width=10), said


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="reverse", expand=True)
    for name in columns:
        widest = 1 if name == columns[-1] else None
        table.add_column(name, no_wrap=True, overflow="ellipsis", ratio=widest)
    return table


def _more(table: Table, number: int) -> None:
    if number > 0:
        table.add_row(Text(f"… {number} more", style="dim"))


def _seconds(value: float | None) -> str:
    return "-" if value is None else seconds_text(value)


def _lateness(value: float | None) -> str:
    if value is None or value < LATE_S:
        return ""
    return "bold red" if value >= VERY_LATE_S else "yellow"
