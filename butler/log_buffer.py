"""What one attempt has logged and nobody has taken yet, bounded.

The first lines are kept, to `MAX_LINES` and `MAX_BYTES`; once one did not fit, no later one is, so
that there is no gap in the middle. How many were left out stands in a line of its own at the end,
the mark, which is given out again whenever it has grown.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeAlias

from butler.storage.logs import MAX_LINE_CHARS
from butler.text import clean_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_LINES = 1_000
MAX_BYTES = 256 * 1024

MARK_NUMBER = MAX_LINES + 1
"""The number of the mark, so that it is the last line however early the cut was."""

# A line costs more than its text, in memory and in the ledger.
_LINE_BYTES = 32
_INFO = 20

Entry: TypeAlias = tuple[int, float, int, str, str]
"""Number, Unix time in seconds, level, logger, message."""


class LogBuffer:
    """Lines of one attempt, from any thread; with a ``sink`` they go there and are not kept."""

    __slots__ = ("_begun", "_bytes", "_count", "_cut", "_entries", "_lock", "_marked", "_sink")

    def __init__(self, sink: Callable[[Entry], None] | None = None) -> None:
        # Reentrant: under it memory may be collected, and what goes then may log.
        self._lock = threading.RLock()
        self._sink = sink
        self._entries: list[Entry] = []
        self._begun: dict[str, str] | None = None
        self._count = 0
        self._bytes = 0
        self._cut = 0
        self._marked = 0

    def add(self, level: int, logger: str, message: str, *, created: float) -> None:
        """Keep a line, or count it."""
        if len(message) > MAX_LINE_CHARS:
            message = clean_text(message, MAX_LINE_CHARS)
        size = _LINE_BYTES + _size(message)
        with self._lock:
            if self._cut or self._count >= MAX_LINES or self._bytes + size > MAX_BYTES:
                self._cut += 1
                return
            number = self._count = self._count + 1
            self._bytes += size
            entry = (number, created, level, logger, message)
            if self._sink is None:
                self._entries.append(entry)
            else:
                self._sink(entry)

    def write(self, logger: str, text: str, *, created: float) -> None:
        """Keep what was written to a stream; the part after the last line's end waits for more."""
        with self._lock:
            begun = self._begun.pop(logger, "") if self._begun else ""
            *lines, begun = (begun + text).split("\n")
            if len(begun) > MAX_LINE_CHARS:
                lines.append(begun)
                begun = ""
            for line in lines:
                self.add(_INFO, logger, line, created=created)
            if begun:
                self._begun = {**(self._begun or {}), logger: begun}

    def end_lines(self) -> None:
        """Keep what waits for the end of its line."""
        with self._lock:
            begun, self._begun = self._begun, None
            for logger, line in (begun or {}).items():
                self.add(_INFO, logger, line, created=time.time())

    def take(self) -> Sequence[Entry]:
        """What was not taken yet, the mark last if it has grown."""
        with self._lock:
            taken, self._entries = self._entries, []
            if self._cut > self._marked:
                self._marked = self._cut
                mark = f"… [cut: {self._cut:,} {'line' if self._cut == 1 else 'lines'}]"
                taken.append((MARK_NUMBER, time.time(), _INFO, "butler", mark))
        return taken

    def receive(self, entry: Entry) -> None:
        """Keep a line that was bounded and numbered in another process."""
        with self._lock:
            self._entries.append(entry)

    def give_back(self, entries: Sequence[Entry]) -> None:
        """Have these taken again, before what came since."""
        with self._lock:
            self._entries = [*entries, *self._entries]


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
