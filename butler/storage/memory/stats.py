"""Statistics in the memory ledger.

Nothing needs folding here: an end is added to the cell of its minute at once, and hours and days
are added up from minutes when somebody asks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from butler.errors import InvalidOption
from butler.executions import ExecutionStatus
from butler.fingerprints import MAX_MESSAGE_CHARS, fingerprint
from butler.histograms import Histogram
from butler.lifecycle import is_error
from butler.storage.monitoring_records import INTERNAL_QUEUE
from butler.storage.stats import MAX_ERRORS, STATISTICS_KEPT, Ending, ErrorGroup, StatsCell, Step
from butler.storage.values import clean_text

if TYPE_CHECKING:
    import threading
    from datetime import datetime

    from butler.clock import Clock
    from butler.lifecycle import Transition
    from butler.storage.memory.rows import Row
    from butler.storage.memory.workers import LeaderSeat
    from butler.storage.stats import ErrorQuery, StatsQuery


class _Key(NamedTuple):
    at: datetime
    task: str
    queue: str
    ending: Ending
    status: ExecutionStatus


_CellKey: TypeAlias = "tuple[datetime | None, str | None, str | None, Ending, ExecutionStatus]"


@dataclass(slots=True)
class _Sum:
    number: int = 0
    wait_s: float = 0.0
    run_s: float = 0.0
    wait: Histogram = field(default_factory=Histogram)
    run: Histogram = field(default_factory=Histogram)

    def merge(self, other: _Sum) -> None:
        self.number += other.number
        self.wait_s += other.wait_s
        self.run_s += other.run_s
        self.wait.merge(other.wait)
        self.run.merge(other.run)


@dataclass(slots=True, kw_only=True)
class _Error:
    at: datetime
    group: ErrorGroup


class Tally:
    """Counts ends as they happen; `RowTable` has one. Nothing here locks."""

    def __init__(self) -> None:
        self.sums: dict[_Key, _Sum] = {}
        self.errors: list[_Error] = []

    def attempt_ended(
        self, row: Row, *, transition: Transition, status: ExecutionStatus, now: datetime
    ) -> None:
        """An attempt of ``row`` ends and leaves it in ``status``; called before that is so."""
        assert row.started_at is not None
        found = self._sum(row, ending=Ending(transition.outcome), status=status, now=now)
        wait_s = max(0.0, (row.started_at - row.run_at).total_seconds())
        run_s = max(0.0, (now - row.started_at).total_seconds())
        found.wait_s += wait_s
        found.run_s += run_s
        found.wait.add(wait_s)
        found.run.add(run_s)
        if is_error(transition) and transition.error is not None:
            known = fingerprint(transition.error)
            group = ErrorGroup(
                fingerprint=known.id,
                task=row.new.task,
                type=known.type,
                place=known.place,
                message=(clean_text(transition.error.message) or "")[:MAX_MESSAGE_CHARS],
                execution_id=row.id,
                number=1,
                first_seen=now,
                last_seen=now,
            )
            self.errors.append(_Error(at=_minute(now), group=group))

    def never_started(self, row: Row, *, ending: Ending, now: datetime) -> None:
        """An execution was cancelled while it waited."""
        self._sum(row, ending=ending, status=ExecutionStatus.CANCELLED, now=now)

    def forget(self, *, before: datetime) -> int:
        """Drop what ended before; how much."""
        old = [key for key in self.sums if key.at < before]
        for key in old:
            del self.sums[key]
        kept = [error for error in self.errors if error.at >= before]
        gone = len(old) + len(self.errors) - len(kept)
        self.errors = kept
        return gone

    def _sum(self, row: Row, *, ending: Ending, status: ExecutionStatus, now: datetime) -> _Sum:
        key = _Key(_minute(now), row.new.task, row.new.queue, ending, status)
        found = self.sums.setdefault(key, _Sum())
        found.number += 1
        return found


class MemoryStats:
    """What makes a `MemoryStorage` a `StatsStorage`; everything happens under its lock."""

    _clock: Clock
    _lock: threading.Lock
    _seat: LeaderSeat
    _tally: Tally

    def stats(self, query: StatsQuery) -> list[StatsCell]:
        """What ended in the spans of ``query``."""
        found: dict[_CellKey, _Sum] = {}
        with self._lock:
            for key, each in self._tally.sums.items():
                if not any(span.since <= key.at < span.until for span in query.spans):
                    continue
                if query.task not in (None, key.task) or not _is_of(key.queue, query):
                    continue
                at = None if query.every is None else query.every.begin(key.at)
                task = key.task if "task" in query.by else None
                queue = key.queue if "queue" in query.by else None
                cell = (at, task, queue, key.ending, key.status)
                found.setdefault(cell, _Sum()).merge(each)
        return [
            StatsCell(
                at=at,
                task=task,
                queue=queue,
                ending=ending,
                status=status,
                number=each.number,
                wait_s=each.wait_s,
                run_s=each.run_s,
                wait=each.wait if query.with_times else Histogram(),
                run=each.run if query.with_times else Histogram(),
            )
            for (at, task, queue, ending, status), each in found.items()
        ]

    def errors(self, query: ErrorQuery) -> list[ErrorGroup]:
        """The errors of failed attempts, by fingerprint."""
        if not 1 <= query.limit <= MAX_ERRORS:
            raise InvalidOption(f"limit must be in 1..{MAX_ERRORS}, got {query.limit!r}")
        since = _minute(query.since)
        until = None if query.until is None else _minute(query.until)
        groups: dict[tuple[str, str], list[_Error]] = {}
        with self._lock:
            for error in self._tally.errors:
                if query.task in (None, error.group.task):
                    key = (error.group.task, error.group.fingerprint)
                    groups.setdefault(key, []).append(error)
        found = []
        for errors in groups.values():
            number = sum(e.at >= since and (until is None or e.at < until) for e in errors)
            if number:
                found.append(_merged(errors, number=number))
        found.sort(key=lambda group: (group.task, group.fingerprint))
        found.sort(key=lambda group: group.last_seen, reverse=True)
        found.sort(key=lambda group: getattr(group, query.order), reverse=True)
        return found[: query.limit]

    def fold_stats(self, *, epoch: int, limit: int) -> int:  # noqa: ARG002 - nothing to fold
        """Nothing is to be folded."""
        return 0

    def pack_stats(self, *, epoch: int, limit: int) -> int:  # noqa: ARG002 - nothing to pack
        """Nothing is to be packed: what is in memory is small enough."""
        return 0

    def prune_stats(self, *, epoch: int, limit: int) -> int:  # noqa: ARG002 - all at once
        """Forget what is over its time."""
        with self._lock:
            if not self._seat.holds(epoch):
                return 0
            return self._tally.forget(before=self._clock.now() - STATISTICS_KEPT)


def _is_of(queue: str, query: StatsQuery) -> bool:
    return queue != INTERNAL_QUEUE if query.queue is None else queue == query.queue


def _minute(at: datetime) -> datetime:
    return Step.MINUTE.begin(at)


def _merged(errors: list[_Error], *, number: int) -> ErrorGroup:
    newest = errors[-1].group
    return ErrorGroup(
        fingerprint=newest.fingerprint,
        task=newest.task,
        type=newest.type,
        place=newest.place,
        message=newest.message,
        execution_id=newest.execution_id,
        number=number,
        first_seen=errors[0].group.first_seen,
        last_seen=newest.last_seen,
    )
