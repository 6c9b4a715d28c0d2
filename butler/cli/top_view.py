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
# Head, titles, the gaps between tables, and their heads.
FIXED_LINES = 11


def screen(look: Look, *, height: int) -> RenderableType:
    """The whole screen; as many running executions and workers as there is room for."""
    room = max(2, height - FIXED_LINES - len(look.queues))
    workers = min(len(look.workers), max(1, room // 3))
    return Group(
        _head(look),
        Text(),
        _queues(look),
        Text(),
        _workers(look, limit=workers),
        Text(),
        _running(look, limit=max(1, room - workers)),
    )


def spark(values: Sequence[float]) -> str:
    """Numbers as bars, the highest one full."""
    top = max(values, default=0.0)
    if top <= 0:
        return BARS[0] * len(values)
    return "".join(BARS[round(value / top * (len(BARS) - 1))] for value in values)


def _head(look: Look) -> Text:
    slots = sum(worker.concurrency for worker in look.workers)
    head = Text()
    head.append("butler top", style="bold")
    head.append(f"  {look.now:%H:%M:%S}Z  ")
    if look.leader is None:
        head.append("no scheduler leads", style="bold red")
    else:
        head.append("scheduler ok", style="green")
    head.append(f"  running {look.running_total}/{slots}")
    head.append(f"  wait p95 {_seconds(look.wait_p95_s)}  run p95 {_seconds(look.run_p95_s)}\n")
    head.append(f"{look.rates[-1]:8.1f} ended/s ", style="bold")
    failed = f"{look.failed_per_s:6.1f} failed/s  "
    head.append(failed, style="red" if look.failed_per_s else "dim")
    head.append(spark(look.rates), style="cyan")
    return head


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


def _running(look: Look, *, limit: int) -> Table:
    table = _table("RUNNING", "TASK", "QUEUE", "TRY", "FOR", "PROGRESS", "")
    for execution in look.running[:limit]:
        bar, message = _progress(execution)
        table.add_row(
            execution.id,
            Text(printable(execution.task), style="bold"),
            printable(execution.queue),
            str(execution.attempt),
            seconds_text(age_s(execution, look)),
            bar,
            message,
        )
    _more(table, look.running_total - min(limit, len(look.running)))
    return table


def _progress(execution: Execution) -> tuple[RenderableType, str]:
    if execution.progress is None:
        return "", ""
    percent = execution.progress.percent
    said = printable(execution.progress.message or "")
    return ProgressBar(total=100, completed=percent, width=16), f"{percent:3.0f}% {said}"


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
