"""`LedgerFigures`: what rules ask the ledger's statistics."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from butler.executions import ExecutionStatus
from butler.histograms import Histogram
from butler.monitoring.alerts.measure import Figures, Rate, Usual
from butler.storage.monitoring_records import INTERNAL_QUEUE
from butler.storage.stats import Ending, Span, StatsQuery, Step

if TYPE_CHECKING:
    from datetime import datetime

    from butler.storage.base import Storage

# Above it, hours are read instead of minutes.
_MINUTES_UP_TO_S = 3 * 3_600.0
_MINUTE = timedelta(minutes=1)


class LedgerFigures(Figures):
    """Reads each figure at most once; made anew for each look."""

    def __init__(self, storage: Storage, *, now: datetime) -> None:
        self._storage = storage
        self._now = now
        self._rates: dict[float, dict[str, Rate]] = {}
        self._usual: dict[float, dict[str, Usual]] = {}

    def rates(self, window_s: float) -> dict[str, Rate]:
        """By task, over the last ``window_s`` in whole minutes or hours."""
        if window_s not in self._rates:
            self._read(window_s)
        return self._rates[window_s]

    def usual(self, window_s: float) -> dict[str, Usual]:
        """By task, over the last ``window_s`` in whole minutes or hours."""
        if window_s not in self._usual:
            self._read(window_s)
        return self._usual[window_s]

    def last_success(self, task: str, *, since: datetime) -> datetime | None:
        """The latest minute that began after ``since`` in which one succeeded."""
        begin = Step.MINUTE.begin(since) + _MINUTE
        until = Step.MINUTE.begin(self._now) + _MINUTE
        if begin >= until:
            return None
        span = Span(step=Step.MINUTE, since=begin, until=until)
        cells = self._storage.stats(StatsQuery(spans=(span,), every=Step.MINUTE, task=task))
        minutes = [cell.at for cell in cells if cell.ending is Ending.SUCCEEDED and cell.at]
        return max(minutes, default=None)

    def _read(self, window_s: float) -> None:
        step = Step.MINUTE if window_s <= _MINUTES_UP_TO_S else Step.HOUR
        span = Span(
            step=step,
            since=step.begin(self._now - timedelta(seconds=window_s)),
            until=step.begin(self._now) + step.length,
        )
        good: dict[str, int] = {}
        bad: dict[str, int] = {}
        runs: dict[str, Histogram] = {}
        for cell in self._storage.stats(StatsQuery(spans=(span,), by=("task", "queue"))):
            task = cell.task or ""
            if cell.queue == INTERNAL_QUEUE:
                continue
            if cell.status is ExecutionStatus.SUCCEEDED:
                good[task] = good.get(task, 0) + cell.number
                runs.setdefault(task, Histogram()).merge(cell.run)
            elif cell.status is ExecutionStatus.FAILED:
                bad[task] = bad.get(task, 0) + cell.number
        self._rates[window_s] = {
            task: Rate(succeeded=good.get(task, 0), failed=bad.get(task, 0))
            for task in good.keys() | bad.keys()
        }
        self._usual[window_s] = {
            task: Usual(number=good[task], p95_s=p95)
            for task, run in runs.items()
            if (p95 := run.quantile(0.95)) is not None
        }
