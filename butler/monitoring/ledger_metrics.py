"""What the ledger says in Prometheus' form: all that ended, what waits, what runs, who serves.

The leading scheduler shows it, once for the whole installation. A snapshot is read beside the
scrapes, so that a scrape never waits for Postgres, and only while somebody scrapes. Counters must
not fall, but statistics are forgotten one day: what is before yesterday is added to a base once a
day, and only the last days are read again.

Labels are task, queue, outcome and host, and no others: each set of values is a series that
Prometheus keeps. Tasks beyond the first `MAX_TASKS` are one task, ``_other``.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from butler.executions import TERMINAL
from butler.histograms import Histogram
from butler.monitoring.metrics import Metric, Sample, gauge, histogram_samples
from butler.storage.stats import Ending, Span, StatsQuery, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from butler.clock import Clock
    from butler.storage.base import Storage
    from butler.storage.monitoring_records import LedgerPicture
    from butler.storage.stats import StatsCell

MAX_TASKS = 500
OTHER = "_other"
WANTED_FOR_S = 300.0
STALE_AFTER_S = 60.0
_A_DAY = timedelta(days=1)
_NEVER_STARTED = frozenset({Ending.WITHDRAWN, Ending.EXPIRED})


class _Place(NamedTuple):
    task: str
    queue: str


@dataclass(slots=True)
class _Totals:
    """What ended of one task on one queue."""

    executions: Counter[str] = field(default_factory=Counter)
    attempts: Counter[str] = field(default_factory=Counter)
    wait_s: float = 0.0
    run_s: float = 0.0
    wait: Histogram = field(default_factory=Histogram)
    run: Histogram = field(default_factory=Histogram)

    def add(self, cell: StatsCell) -> None:
        """Add what one cell counts."""
        if cell.status in TERMINAL:
            self.executions[cell.status.value] += cell.number
        if cell.ending not in _NEVER_STARTED:
            self.attempts[cell.ending.value] += cell.number
        self.wait_s += cell.wait_s
        self.run_s += cell.run_s
        self.wait.merge(cell.wait)
        self.run.merge(cell.run)

    def merge(self, other: _Totals) -> None:
        """Add what another one has counted."""
        self.executions.update(other.executions)
        self.attempts.update(other.attempts)
        self.wait_s += other.wait_s
        self.run_s += other.run_s
        self.wait.merge(other.wait)
        self.run.merge(other.run)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Snapshot:
    at: float
    totals: Mapping[_Place, _Totals]
    picture: LedgerPicture


class LedgerMetrics:
    """Metrics of one ledger; ``refresh`` reads it, ``metrics`` shows what was read."""

    def __init__(self, storage: Storage, *, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._lock = threading.Lock()
        self._asked_at: float | None = None
        self._snapshot: _Snapshot | None = None
        self._tasks: set[str] = set()
        self._base: dict[_Place, _Totals] = {}
        self._origin = Step.DAY.begin(clock.now()) - _A_DAY

    @property
    def wanted(self) -> bool:
        """Whether somebody has asked lately."""
        asked_at = self._asked_at
        return asked_at is not None and self._clock.monotonic() - asked_at < WANTED_FOR_S

    def refresh(self) -> None:
        """Read the ledger; raises `StorageUnavailable`."""
        today = Step.DAY.begin(self._clock.now())
        if today - _A_DAY > self._origin:
            for place, totals in self._read(self._origin, today - _A_DAY).items():
                self._base.setdefault(place, _Totals()).merge(totals)
            self._origin = today - _A_DAY
        # A day more, because the ledger's clock may be ahead.
        found = self._read(self._origin, today + 2 * _A_DAY)
        for place, totals in self._base.items():
            found.setdefault(place, _Totals()).merge(totals)
        snapshot = _Snapshot(
            at=self._clock.monotonic(), totals=found, picture=self._storage.picture()
        )
        with self._lock:
            self._snapshot = snapshot

    def forget(self) -> None:
        """Show nothing: another scheduler does."""
        with self._lock:
            self._snapshot = None

    def metrics(self) -> list[Metric]:
        """What was read last; nothing when that is a minute ago."""
        now = self._clock.monotonic()
        with self._lock:
            self._asked_at = now
            snapshot = self._snapshot
        if snapshot is None or now - snapshot.at > STALE_AFTER_S:
            return []
        age = gauge(
            "butler_ledger_snapshot_age_seconds",
            "Since the ledger was read for these metrics.",
            now - snapshot.at,
        )
        return [age, *_ended(snapshot.totals), *_standing(snapshot.picture)]

    def _read(self, since: datetime, until: datetime) -> dict[_Place, _Totals]:
        query = StatsQuery(
            spans=(Span(step=Step.DAY, since=since, until=until),), by=("task", "queue")
        )
        found: dict[_Place, _Totals] = {}
        for cell in sorted(self._storage.stats(query), key=lambda cell: cell.task or ""):
            place = _Place(self._label(cell.task or ""), cell.queue or "")
            found.setdefault(place, _Totals()).add(cell)
        return found

    def _label(self, task: str) -> str:
        # Who is in stays in: a counter that changes its label would fall.
        if task not in self._tasks and len(self._tasks) >= MAX_TASKS:
            return OTHER
        self._tasks.add(task)
        return task


def _ended(totals: Mapping[_Place, _Totals]) -> Iterable[Metric]:
    places = sorted(totals)
    yield Metric(
        "butler_executions_total",
        "counter",
        "Executions that ended, by outcome; one that is retried by hand may end again.",
        _counted(totals, lambda found: found.executions),
    )
    yield Metric(
        "butler_attempts_total",
        "counter",
        "Attempts that ended, by outcome.",
        _counted(totals, lambda found: found.attempts),
    )
    yield Metric(
        "butler_attempt_wait_seconds",
        "histogram",
        "From when an attempt was due until it started.",
        tuple(
            sample
            for place in places
            for sample in histogram_samples(
                totals[place].wait, total_s=totals[place].wait_s, labels=place._asdict()
            )
        ),
    )
    yield Metric(
        "butler_attempt_run_seconds",
        "histogram",
        "From when an attempt started until its end was written.",
        tuple(
            sample
            for place in places
            for sample in histogram_samples(
                totals[place].run, total_s=totals[place].run_s, labels=place._asdict()
            )
        ),
    )


def _counted(
    totals: Mapping[_Place, _Totals], counts: Callable[[_Totals], Counter[str]]
) -> tuple[Sample, ...]:
    return tuple(
        Sample(number, {**place._asdict(), "outcome": outcome})
        for place in sorted(totals)
        for outcome, number in sorted(counts(totals[place]).items())
    )


def _standing(picture: LedgerPicture) -> Iterable[Metric]:
    depths = {queue.queue: queue.depth for queue in picture.queues}
    ages = {
        queue.queue: max(0.0, (picture.now - queue.oldest_queued_at).total_seconds())
        for queue in picture.queues
    }
    alive = [w for w in picture.workers if not w.lost and w.stopped_at is None]
    serving = Counter(queue for worker in alive for queue in worker.queues)
    running = Counter(execution.queue for execution in picture.running)
    hosts = Counter(worker.host for worker in alive)
    queues = sorted({*depths, *serving, *running})
    for name, description, values in (
        ("butler_queue_depth", "Executions that are queued; counted up to 100,000.", depths),
        ("butler_queue_oldest_seconds", "How long the oldest queued one has waited.", ages),
        ("butler_queue_running", "Executions that run.", running),
        ("butler_queue_workers", "Live worker processes that serve it.", serving),
    ):
        samples = tuple(Sample(values.get(queue, 0), {"queue": queue}) for queue in queues)
        yield Metric(name, "gauge", description, samples)
    yield Metric(
        "butler_workers",
        "gauge",
        "Live worker processes.",
        tuple(Sample(number, {"host": host}) for host, number in sorted(hosts.items())),
    )
