"""``butler.stats``: what ran lately, how it ended, how long it took, and what fails.

Read from the ledger's statistics and so exact at once, also over executions that were pruned.
Counts are of what *ended* in the window; nothing here says what waits or runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, Self, TypeAlias, get_args

from butler.blocking import warn_if_loop_blocked
from butler.errors import InvalidOption
from butler.executions import ExecutionStatus
from butler.histograms import Histogram
from butler.monitoring.windows import Window
from butler.storage.stats import Ending, ErrorQuery, StatsQuery, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from butler.app import Butler
    from butler.storage.stats import ErrorGroup, StatsCell

Since: TypeAlias = "datetime | timedelta"
TopBy = Literal["task", "queue"]
TopOrder = Literal["run_time", "ended", "failed", "retries", "failure_rate", "wait_p95", "run_p95"]
ErrorOrder = Literal["number", "last_seen", "first_seen"]

LAST_HOUR = timedelta(hours=1)
LAST_DAY = timedelta(days=1)
MAX_TOP = 1_000

_RAN = frozenset(
    {Ending.SUCCEEDED, Ending.FAILED, Ending.TIMED_OUT, Ending.CANCELLED, Ending.RESCHEDULED}
)
_NEVER_STARTED = frozenset({Ending.WITHDRAWN, Ending.EXPIRED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Durations of attempts in seconds; all None where there was none.

    Quantiles are within 1 % of the exact ones; sum and mean are exact to microseconds.
    """

    total_s: float
    mean_s: float | None
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    histogram: Histogram = field(repr=False)

    @classmethod
    def of(cls, histogram: Histogram, *, total_s: float) -> Self:
        """What a histogram and its exact sum say."""
        number = histogram.total
        return cls(
            total_s=total_s,
            mean_s=total_s / number if number else None,
            p50_s=histogram.quantile(0.5),
            p95_s=histogram.quantile(0.95),
            p99_s=histogram.quantile(0.99),
            histogram=histogram,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsSummary:
    """What ended from ``since`` up to ``until``.

    ``succeeded``, ``failed`` and ``cancelled`` count executions that came to that end (one that an
    operator retries may come to several); ``expired`` are the cancelled ones that came too late.
    The others count attempts: ``retries`` failed with attempts left, ``lost`` and ``crashed`` ran
    again because their worker was gone. ``wait`` is from due to started, ``run`` from there until
    the end was written; both over attempts that ran to an end of their own.
    """

    since: datetime
    until: datetime
    succeeded: int
    failed: int
    cancelled: int
    expired: int
    attempts: int
    retries: int
    timed_out: int
    lost: int
    crashed: int
    wait: Timing
    run: Timing

    @property
    def ended(self) -> int:
        """Executions that came to an end."""
        return self.succeeded + self.failed + self.cancelled

    @property
    def failure_rate(self) -> float | None:
        """The share (0..1) of failed among succeeded and failed executions; None without any."""
        judged = self.succeeded + self.failed
        return self.failed / judged if judged else None

    @property
    def ended_per_s(self) -> float:
        """Executions that came to an end, a second."""
        return self.ended / max((self.until - self.since).total_seconds(), 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsRow:
    """What ended of one task or one queue."""

    name: str
    summary: StatsSummary


class Statistics:
    """Statistics of one ledger; made by ``butler.stats``.

    ``since`` is an aware time or how long ago, ``until`` an aware time, None for now; both are
    taken in whole minutes, and nothing is known from before 90 days. Raises `InvalidOption`.
    """

    def __init__(self, butler: Butler) -> None:
        self._butler = butler

    def summary(
        self,
        *,
        since: Since = LAST_HOUR,
        until: datetime | None = None,
        task: str | None = None,
        queue: str | None = None,
    ) -> StatsSummary:
        """What ended in a window, of one task or queue or of all."""
        warn_if_loop_blocked("butler.stats.summary()", awaited="await butler.aio.stats.summary()")
        window = self._window(since, until)
        cells = self._butler.storage.stats(StatsQuery(spans=window.spans(), task=task, queue=queue))
        return _summary(cells, since=window.since, until=window.until)

    def timeseries(
        self,
        *,
        step: Literal["minute", "hour", "day"] = "minute",
        since: Since = LAST_HOUR,
        until: datetime | None = None,
        task: str | None = None,
        queue: str | None = None,
    ) -> list[StatsSummary]:
        """One summary a step, oldest first, the empty ones too; at most 2,000.

        The first step may begin before ``since`` and the last one end after ``until``.
        """
        warn_if_loop_blocked(
            "butler.stats.timeseries()", awaited="await butler.aio.stats.timeseries()"
        )
        every = _step(step)
        window = self._window(since, until)
        begins = window.steps(every)
        found: dict[datetime | None, list[StatsCell]] = {}
        query = StatsQuery(spans=(window.span_of(every),), every=every, task=task, queue=queue)
        for cell in self._butler.storage.stats(query):
            found.setdefault(cell.at, []).append(cell)
        return [
            _summary(found.get(begin, ()), since=begin, until=begin + every.length)
            for begin in begins
        ]

    def top(
        self,
        *,
        by: TopBy = "task",
        order: TopOrder = "run_time",
        since: Since = LAST_HOUR,
        until: datetime | None = None,
        queue: str | None = None,
        limit: int = 10,
    ) -> list[StatsRow]:
        """The tasks or queues with the most of something: run time, ends, failures, retries.

        ``limit`` is 1..1000.
        """
        warn_if_loop_blocked("butler.stats.top()", awaited="await butler.aio.stats.top()")
        _check_one_of("by", by, get_args(TopBy))
        _check_one_of("order", order, get_args(TopOrder))
        if not 1 <= limit <= MAX_TOP:
            raise InvalidOption(f"limit must be in 1..{MAX_TOP}, got {limit!r}")
        window = self._window(since, until)
        found: dict[str, list[StatsCell]] = {}
        query = StatsQuery(spans=window.spans(), by=(by,), queue=queue)
        for cell in self._butler.storage.stats(query):
            found.setdefault(getattr(cell, by), []).append(cell)
        rows = [
            StatsRow(name=name, summary=_summary(cells, since=window.since, until=window.until))
            for name, cells in sorted(found.items())
        ]
        rows.sort(key=lambda row: _ORDERS[order](row.summary), reverse=True)
        return rows[:limit]

    def errors(
        self,
        *,
        since: Since = LAST_DAY,
        until: datetime | None = None,
        task: str | None = None,
        order: ErrorOrder = "number",
        limit: int = 20,
    ) -> list[ErrorGroup]:
        """The errors that attempts failed with, by type and place; ``limit`` is 1..1000."""
        warn_if_loop_blocked("butler.stats.errors()", awaited="await butler.aio.stats.errors()")
        _check_one_of("order", order, get_args(ErrorOrder))
        window = self._window(since, until)
        query = ErrorQuery(
            since=window.since,
            until=None if window.open else window.until,
            task=task,
            order=order,
            limit=limit,
        )
        return self._butler.storage.errors(query)

    def _window(self, since: Since, until: datetime | None) -> Window:
        return Window(since, until, now=self._butler.clock.now())


def _summary(cells: Iterable[StatsCell], *, since: datetime, until: datetime) -> StatsSummary:
    cells = list(cells)
    ended = dict.fromkeys(ExecutionStatus, 0)
    endings = dict.fromkeys(Ending, 0)
    wait, run = Histogram(), Histogram()
    for cell in cells:
        ended[cell.status] += cell.number
        endings[cell.ending] += cell.number
        if cell.ending in _RAN:
            wait.merge(cell.wait)
            run.merge(cell.run)
    ran = [cell for cell in cells if cell.ending in _RAN]
    return StatsSummary(
        since=since,
        until=until,
        succeeded=ended[ExecutionStatus.SUCCEEDED],
        failed=ended[ExecutionStatus.FAILED],
        cancelled=ended[ExecutionStatus.CANCELLED],
        expired=endings[Ending.EXPIRED],
        attempts=sum(n for ending, n in endings.items() if ending not in _NEVER_STARTED),
        retries=ended[ExecutionStatus.RETRYING],
        timed_out=endings[Ending.TIMED_OUT],
        lost=endings[Ending.LOST],
        crashed=endings[Ending.CRASHED],
        wait=Timing.of(wait, total_s=sum(cell.wait_s for cell in ran)),
        run=Timing.of(run, total_s=sum(cell.run_s for cell in ran)),
    )


_ORDERS: dict[TopOrder, Callable[[StatsSummary], float]] = {
    "run_time": lambda summary: summary.run.total_s,
    "ended": lambda summary: summary.ended,
    "failed": lambda summary: summary.failed,
    "retries": lambda summary: summary.retries,
    "failure_rate": lambda summary: summary.failure_rate or 0.0,
    "wait_p95": lambda summary: summary.wait.p95_s or 0.0,
    "run_p95": lambda summary: summary.run.p95_s or 0.0,
}


def _step(step: str) -> Step:
    _check_one_of("step", step, [each.value for each in Step])
    return Step(step)


def _check_one_of(option: str, value: str, allowed: Iterable[str]) -> None:
    if value not in allowed:
        raise InvalidOption(f"{option} must be one of {', '.join(allowed)}, got {value!r}")
