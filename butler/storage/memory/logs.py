"""What tasks have logged, and what executions have enqueued, in the memory ledger."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from butler.errors import InvalidOption
from butler.storage.base import MAX_BATCH
from butler.storage.families import Child
from butler.storage.logs import (
    KEPT_ATTEMPTS,
    MAX_LEVEL,
    MAX_LINE_CHARS,
    MAX_LOGGER_CHARS,
    check_page,
    first_id,
)
from butler.text import clean_text

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from butler.storage.logs import LogLine
    from butler.storage.memory.rows import Row, RowTable


class MemoryLogs:
    """What makes a `MemoryStorage` a `LogStorage` and a `FamilyStorage`; under its lock."""

    _lock: threading.Lock
    _rows: RowTable

    def write_logs(self, lines: Sequence[LogLine]) -> None:
        """Keep lines; those of executions that do not exist are dropped."""
        _check_batch(lines)
        with self._lock:
            for line in lines:
                row = self._rows.get(line.execution_id)
                if row is not None:
                    row.logs[line.id] = _cleaned(line)
            written = {line.execution_id: line.attempt for line in sorted(lines, key=_by_attempt)}
            for execution_id, attempt in written.items():
                row = self._rows.get(execution_id)
                if row is not None:
                    _forget(row, before=first_id(attempt - KEPT_ATTEMPTS + 1))

    def logs(self, execution_id: str, *, after: int | None, limit: int) -> list[LogLine]:
        """The lines with ids greater than ``after``, oldest first."""
        check_page(limit)
        with self._lock:
            row = self._rows.get(execution_id)
            lines = [] if row is None else list(row.logs.values())
        later = sorted((line for line in lines if line.id > (after or 0)), key=_by_id)
        return later[:limit]

    def children(self, parent_ids: Sequence[str], *, limit: int) -> list[Child]:
        """The children of these, parent by parent, each's oldest first."""
        _check_batch(parent_ids)
        found: dict[str, list[Child]] = {parent_id: [] for parent_id in parent_ids}
        with self._lock:
            for row in reversed(self._rows.newest_first()):
                parent_id = row.new.parent_id
                if parent_id in found:
                    found[parent_id].append(Child(parent_id=parent_id, standing=row.to_standing()))
        return [child for children in found.values() for child in children][:limit]


def _cleaned(line: LogLine) -> LogLine:
    return replace(
        line,
        level=min(line.level, MAX_LEVEL),
        logger=clean_text(line.logger, MAX_LOGGER_CHARS),
        message=clean_text(line.message, MAX_LINE_CHARS),
    )


def _forget(row: Row, *, before: int) -> None:
    for id_ in [id_ for id_ in row.logs if id_ < before]:
        del row.logs[id_]


def _by_attempt(line: LogLine) -> int:
    return line.attempt


def _by_id(line: LogLine) -> int:
    return line.id


def _check_batch(items: Sequence[object]) -> None:
    if len(items) > MAX_BATCH:
        raise InvalidOption(f"a batch holds at most {MAX_BATCH} items, got {len(items)}")
