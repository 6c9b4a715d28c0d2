"""Statistics in PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from butler.errors import InvalidOption
from butler.executions import ExecutionStatus
from butler.histograms import Histogram
from butler.storage.monitoring_records import INTERNAL_QUEUE
from butler.storage.postgres import literals, rows
from butler.storage.stats import (
    MAX_ERRORS,
    PLAIN_FOR,
    STATISTICS_KEPT,
    Ending,
    ErrorGroup,
    StatsCell,
)
from butler.storage.values import text_refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from butler.storage.postgres.connections import PostgresConnections
    from butler.storage.stats import ErrorQuery, StatsQuery

_US = 1_000_000


class PostgresStats:
    """What makes a `PostgresStorage` a `StatsStorage`."""

    _connections: PostgresConnections

    def stats(self, query: StatsQuery) -> list[StatsCell]:
        """What ended in the spans of ``query``, exact at this moment."""
        if text_refusal(query.task) or text_refusal(query.queue):
            return []
        params = {
            "steps": literals.texts([span.step for span in query.spans]),
            "sinces": literals.times([span.since for span in query.spans]),
            "untils": literals.times([span.until for span in query.spans]),
            "every": query.every,
            "by_task": "t" if "task" in query.by else "f",
            "by_queue": "t" if "queue" in query.by else "f",
            "task": query.task,
            "queue": query.queue,
            "internal": INTERNAL_QUEUE,
            "with_times": "t" if query.with_times else "f",
        }
        return [_cell(row) for row in self._connections.run("stats_read", params)]

    def errors(self, query: ErrorQuery) -> list[ErrorGroup]:
        """The errors of failed attempts, by fingerprint."""
        if not 1 <= query.limit <= MAX_ERRORS:
            raise InvalidOption(f"limit must be in 1..{MAX_ERRORS}, got {query.limit!r}")
        if text_refusal(query.task):
            return []
        params = {
            "since": query.since.isoformat(),
            "until": None if query.until is None else query.until.isoformat(),
            "task": query.task,
            "order": query.order,
            "limit": str(query.limit),
        }
        return [_group(row) for row in self._connections.run("errors_read", params)]

    def fold_stats(self, *, epoch: int, limit: int) -> int:
        """Fold what about ``limit`` ends have counted."""
        params = {"epoch": str(epoch), "limit": str(limit)}
        folds = ("stats_fold", "errors_fold")
        return max(int(self._connections.run(fold, params)[0][0]) for fold in folds)

    def pack_stats(self, *, epoch: int, limit: int) -> int:
        """Pack minutes of the oldest hour that is not packed, of up to ``limit`` keys."""
        params = {
            "epoch": str(epoch),
            "plain_for": f"{PLAIN_FOR.total_seconds()} seconds",
            "limit": str(limit),
        }
        return int(self._connections.run("stats_pack", params)[0][0])

    def prune_stats(self, *, epoch: int, limit: int) -> int:
        """Remove up to ``limit`` rows of each kind that are over their time."""
        params = {
            "epoch": str(epoch),
            "kept": f"{STATISTICS_KEPT.total_seconds()} seconds",
            "limit": str(limit),
        }
        return int(self._connections.run("prune_stats", params)[0][0])


def _cell(row: Sequence[Any]) -> StatsCell:
    """The columns of stats_read."""
    at, task, queue, ending, status, number, wait_us, run_us, waits, runs = row
    return StatsCell(
        at=rows.maybe_utc(at),
        task=task,
        queue=queue,
        ending=Ending(ending),
        status=ExecutionStatus(status),
        number=number,
        wait_s=wait_us / _US,
        run_s=run_us / _US,
        wait=Histogram.unpacked(waits),
        run=Histogram.unpacked(runs),
    )


def _group(row: Sequence[Any]) -> ErrorGroup:
    """The columns of errors_read."""
    fingerprint, task, kind, place, message, execution_id, number, first_seen, last_seen = row
    return ErrorGroup(
        fingerprint=fingerprint,
        task=task,
        type=kind,
        place=place,
        message=message,
        execution_id=execution_id,
        number=number,
        first_seen=rows.in_utc(first_seen),
        last_seen=rows.in_utc(last_seen),
    )
