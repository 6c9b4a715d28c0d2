"""`LedgerFigures`: what rules ask the ledger's statistics."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

from butler.executions import ExecutionStatus
from butler.monitoring.alerts.measure import Figures, Rate, Usual
from butler.monitoring.windows import Window
from butler.storage.stats import Ending, Span, StatsQuery, Step

if TYPE_CHECKING:
    from datetime import datetime

    from butler.storage.base import Storage
    from butler.storage.stats import StatsCell

# How far back whole minutes are read, and whole hours; above that, days.
_MINUTES_UP_TO_S = 3 * 3_600.0
_HOURS_UP_TO_S = 3 * 86_400.0
_MINUTE = timedelta(minutes=1)


class LedgerFigures(Figures):
    """Reads each figure at most once; made anew for each look."""

    def __init__(self, storage: Storage, *, now: datetime) -> None:
        self._storage = storage
        self._now = now
        self._rates: dict[float, dict[str, Rate]] = {}
        self._usual: dict[float, dict[str, Usual]] = {}
        self._successes: dict[tuple[str, datetime], datetime | None] = {}

    def rates(self, window_s: float) -> dict[str, Rate]:
        """By task, over the last ``window_s`` in whole minutes, hours or days."""
        if window_s not in self._rates:
            self._rates[window_s] = self._read_rates(window_s)
        return self._rates[window_s]

    def usual(self, window_s: float) -> dict[str, Usual]:
        """By task, over the last ``window_s`` in whole minutes, hours or days."""
        if window_s not in self._usual:
            self._usual[window_s] = self._read_usual(window_s)
        return self._usual[window_s]

    def last_success(self, task: str, *, since: datetime) -> datetime | None:
        """The latest minute that began after ``since`` in which one succeeded."""
        key = (task, Step.MINUTE.begin(since) + _MINUTE)
        if key not in self._successes:
            self._successes[key] = self._read_success(*key)
        return self._successes[key]

    def _read_success(self, task: str, begin: datetime) -> datetime | None:
        """The latest minute from ``begin`` on with a success: first its hour, then the minute."""
        hour = Step.HOUR.begin(begin)
        later = self._latest(task, Step.HOUR, since=hour + Step.HOUR.length, until=self._now)
        found = hour if later is None else later
        return self._latest(
            task, Step.MINUTE, since=max(begin, found), until=found + Step.HOUR.length - _MINUTE
        )

    def _latest(
        self, task: str, step: Step, *, since: datetime, until: datetime
    ) -> datetime | None:
        """The latest minute or hour with a success, from one up to another."""
        end = step.begin(until) + step.length
        if since >= end:
            return None
        span = Span(step=step, since=since, until=end)
        query = StatsQuery(spans=(span,), every=step, task=task, with_times=False)
        found = [c.at for c in self._storage.stats(query) if c.ending is Ending.SUCCEEDED and c.at]
        return max(found, default=None)

    def _read_rates(self, window_s: float) -> dict[str, Rate]:
        good: Counter[str] = Counter()
        bad: Counter[str] = Counter()
        for cell in self._cells(window_s, with_times=False):
            if cell.status is ExecutionStatus.SUCCEEDED:
                good[cell.task or ""] += cell.number
            elif cell.status is ExecutionStatus.FAILED:
                bad[cell.task or ""] += cell.number
        return {task: Rate(succeeded=good[task], failed=bad[task]) for task in good | bad}

    def _read_usual(self, window_s: float) -> dict[str, Usual]:
        return {
            cell.task or "": Usual(number=cell.number, p95_s=p95)
            for cell in self._cells(window_s, with_times=True)
            if cell.ending is Ending.SUCCEEDED and (p95 := cell.run.quantile(0.95)) is not None
        }

    def _cells(self, window_s: float, *, with_times: bool) -> list[StatsCell]:
        """Sums by task over a window that is read from the largest steps that fit in it."""
        if window_s <= _MINUTES_UP_TO_S:
            step = Step.MINUTE
        else:
            step = Step.HOUR if window_s <= _HOURS_UP_TO_S else Step.DAY
        since = step.begin(self._now - timedelta(seconds=window_s))
        window = Window(since, None, now=self._now)
        query = StatsQuery(spans=window.spans(), by=("task",), with_times=with_times)
        return self._storage.stats(query)
