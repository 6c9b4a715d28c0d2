"""What tasks have logged, and what executions have enqueued, in PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from butler.errors import InvalidOption
from butler.storage.base import MAX_BATCH
from butler.storage.families import Child
from butler.storage.logs import (
    KEPT_ATTEMPTS,
    MAX_LEVEL,
    MAX_LINE_CHARS,
    MAX_LOGGER_CHARS,
    LogLine,
    check_page,
    first_id,
)
from butler.storage.postgres import literals, rows
from butler.storage.postgres.batches import run_in_halves
from butler.text import clean_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from butler.storage.postgres.connections import PostgresConnections

_in_order = attrgetter("execution_id", "id")


class PostgresLogs:
    """What makes a `PostgresStorage` a `LogStorage` and a `FamilyStorage`."""

    _connections: PostgresConnections

    def write_logs(self, lines: Sequence[LogLine]) -> None:
        """Keep lines; those of executions that do not exist are dropped."""
        _check_batch(lines)
        # Of two with one id the last: a statement must not write a row twice.
        newest = {(line.execution_id, line.id): line for line in lines}
        ordered = sorted(newest.values(), key=_in_order)
        run_in_halves(ordered, run=self._write, alone=self._write_cleaned)
        self._forget(ordered)

    def _write(self, lines: Sequence[LogLine]) -> list[None]:
        self._connections.run("write_logs", _columns(lines), hot=True)
        return [None] * len(lines)

    def _write_cleaned(self, line: LogLine, _: str) -> None:
        """A line is never refused for its words."""
        logger = clean_text(line.logger, MAX_LOGGER_CHARS)
        message = clean_text(line.message, MAX_LINE_CHARS)
        self._write([replace(line, logger=logger, message=message)])

    def _forget(self, lines: Sequence[LogLine]) -> None:
        """Forget old attempts, where a new one begins to log."""
        began = {
            line.execution_id: first_id(line.attempt - KEPT_ATTEMPTS + 1)
            for line in lines
            if line.number == 1 and line.attempt > KEPT_ATTEMPTS
        }
        if began:
            params = {
                "executions": literals.uuids(began),
                "before": literals.numbers(began.values()),
            }
            self._connections.run("forget_logs", params)

    def logs(self, execution_id: str, *, after: int | None, limit: int) -> list[LogLine]:
        """The lines with ids greater than ``after``, oldest first."""
        check_page(limit)
        if not literals.is_uuid(execution_id):
            return []
        params = {"id": execution_id, "after": str(after or 0), "limit": str(limit)}
        return [_line(row) for row in self._connections.run("logs", params)]

    def children(self, parent_ids: Sequence[str], *, limit: int) -> list[Child]:
        """The children of these, parent by parent, each's oldest first."""
        _check_batch(parent_ids)
        params = {"ids": literals.uuids(dict.fromkeys(parent_ids)), "limit": str(limit)}
        found = self._connections.run("children", params)
        return [Child(parent_id=row[0], standing=rows.standing(row[1:])) for row in found]


def _columns(lines: Sequence[LogLine]) -> dict[str, str]:
    return {
        "executions": literals.uuids(dict.fromkeys(line.execution_id for line in lines)),
        "execution_ids": literals.uuids([line.execution_id for line in lines]),
        "ids": literals.numbers([line.id for line in lines]),
        "attempts": literals.numbers([line.attempt for line in lines]),
        "times": literals.times([line.at for line in lines]),
        "levels": literals.numbers([min(line.level, MAX_LEVEL) for line in lines]),
        "loggers": literals.texts([line.logger[:MAX_LOGGER_CHARS] for line in lines]),
        "messages": literals.texts([_cut(line.message) for line in lines]),
        "cuts": literals.flags([line.cut for line in lines]),
    }


def _cut(message: str) -> str:
    return message if len(message) <= MAX_LINE_CHARS else clean_text(message, MAX_LINE_CHARS)


def _line(row: Sequence[Any]) -> LogLine:
    """The columns of logs."""
    execution_id, attempt, id_, at, level, logger, message, cut = row
    return LogLine(
        execution_id=execution_id,
        attempt=attempt,
        number=id_ - first_id(attempt),
        at=rows.in_utc(at),
        level=level,
        logger=logger,
        message=message,
        cut=cut,
    )


def _check_batch(items: Sequence[object]) -> None:
    if len(items) > MAX_BATCH:
        raise InvalidOption(f"a batch holds at most {MAX_BATCH} items, got {len(items)}")
