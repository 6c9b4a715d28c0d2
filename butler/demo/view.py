"""How the demo shows itself: a live table on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from butler.executions import ExecutionStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

    from butler.executions import Execution

PLAIN_EVERY_S = 1.0
RATE_WINDOW_S = 2.0
STORY_LINES = 8

_COLOURS = {
    ExecutionStatus.SCHEDULED: "magenta",
    ExecutionStatus.QUEUED: "yellow",
    ExecutionStatus.RUNNING: "cyan",
    ExecutionStatus.RETRYING: "magenta",
    ExecutionStatus.SUCCEEDED: "green",
    ExecutionStatus.FAILED: "red",
    ExecutionStatus.CANCELLED: "bright_black",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What is to be shown at one moment."""

    counts: Mapping[ExecutionStatus, int]
    running: Sequence[Execution]
    total: int


class View:
    """Shows pictures and tells the story, on stderr; a context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._live = Live(console=self.console, auto_refresh=False, transient=True)
        self._story: deque[str] = deque(maxlen=STORY_LINES)
        self._marks: deque[tuple[float, int]] = deque()
        self._shown_at = 0.0
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self._live.stop()
            for line in self._story:
                self.console.print(line)

    def tell(self, line: str) -> None:
        """Say that something happened."""
        stamped = f"[bright_black]{time.monotonic() - self._started:5.1f} s[/] {line}"
        self._story.append(stamped)
        if not self.console.is_terminal:
            self.console.print(stamped, highlight=False, soft_wrap=True)

    def show(self, picture: Picture) -> None:
        """Show how things stand."""
        rate = self._rate(picture)
        now = time.monotonic()
        if self.console.is_terminal:
            self._live.update(self._table(picture, rate), refresh=True)
        elif now - self._shown_at >= PLAIN_EVERY_S:
            self._shown_at = now
            states = " ".join(f"{s}={n}" for s, n in picture.counts.items() if n)
            self.tell(f"{states} rate={rate:.0f}/s")

    def _rate(self, picture: Picture) -> float:
        now = time.monotonic()
        self._marks.append((now, picture.counts.get(ExecutionStatus.SUCCEEDED, 0)))
        while now - self._marks[0][0] > RATE_WINDOW_S:
            self._marks.popleft()
        (then, before), (_, after) = self._marks[0], self._marks[-1]
        return (after - before) / (now - then) if now > then else 0.0

    def _table(self, picture: Picture, rate: float) -> RenderableType:
        done = picture.counts.get(ExecutionStatus.SUCCEEDED, 0)
        states = Text("  ").join(
            Text(f"{status} {picture.counts.get(status, 0)}", style=_COLOURS[status])
            for status in ExecutionStatus
        )
        head = Table.grid(padding=(0, 2))
        head.add_row(
            ProgressBar(total=max(picture.total, 1), completed=done, width=40),
            f"{done}/{picture.total}",
            f"[bold]{rate:.0f}[/]/s",
        )
        running = Table(box=None, padding=(0, 2), show_header=False)
        for execution in picture.running:
            percent = execution.progress.percent if execution.progress else 0
            message = (execution.progress.message or "") if execution.progress else ""
            running.add_row(
                Text(execution.task, style="cyan"),
                ProgressBar(total=100, completed=percent, width=20),
                Text(message[:60]),
            )
        story = [Text.from_markup(line) for line in self._story]
        return Group(head, states, running, *story)
