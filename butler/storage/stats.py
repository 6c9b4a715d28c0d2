"""The part of `Storage` that keeps statistics: how attempts and executions ended, and what failed.

Each statement that ends something writes what it ended as one small row, in the same
transaction; the leading scheduler folds these into rows a minute, hour and day. Readers add what
is not folded yet, so that the numbers are exact at once, whoever leads, and stay so when executions
are pruned. Rejected: counters that every finish updates, on which all workers would queue; and
counting executions when asked, which a retention of a day would make wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol

from butler.histograms import Histogram

if TYPE_CHECKING:
    from datetime import datetime

    from butler.executions import ExecutionStatus

STATISTICS_KEPT = timedelta(days=90)
PLAIN_FOR = timedelta(days=1)
"""How long minutes are rows of their own; then a storage may pack them."""

MAX_ERRORS = 1_000


class Step(StrEnum):
    """How long the time is that one row of statistics is about; days are UTC's."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def length(self) -> timedelta:
        """As a duration."""
        return timedelta(**{f"{self.value}s": 1})

    def begin(self, at: datetime) -> datetime:
        """The beginning of the minute, hour or day of an aware time, in UTC."""
        at = at.astimezone(UTC).replace(second=0, microsecond=0)
        if self is not Step.MINUTE:
            at = at.replace(minute=0)
        return at.replace(hour=0) if self is Step.DAY else at


class Ending(StrEnum):
    """How an attempt ended, or what kept an execution from having one.

    The first eight are `AttemptOutcome`'s. ``withdrawn`` was cancelled while it waited, ``expired``
    was not started before its ``expires_at``.
    """

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    RESCHEDULED = "rescheduled"
    HANDED_BACK = "handed_back"
    LOST = "lost"
    CRASHED = "crashed"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of time, read from rows of one step; ``since`` and ``until`` are whole steps."""

    step: Step
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsQuery:
    """What to add up: ``spans`` that do not overlap, one task or queue or all.

    All are those of the application: Butler's own queue counts only where it is named.
    ``every`` and ``by`` tell how it is kept apart; without them it is one sum an ending. Without
    ``with_times`` cells have empty histograms, which are most of what there is to read.
    """

    spans: tuple[Span, ...]
    every: Step | None = None
    by: tuple[Literal["task", "queue"], ...] = ()
    task: str | None = None
    queue: str | None = None
    with_times: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsCell:
    """How often attempts ended in one way and left their executions in one status.

    ``at``, ``task`` and ``queue`` are set where the query keeps them apart. ``wait`` is
    from when it was due until it started, ``run`` from there until its end was written; what never
    started has neither. Sums are in seconds.
    """

    ending: Ending
    status: ExecutionStatus
    number: int
    at: datetime | None = None
    task: str | None = None
    queue: str | None = None
    wait_s: float = 0.0
    run_s: float = 0.0
    wait: Histogram = field(default_factory=Histogram)
    run: Histogram = field(default_factory=Histogram)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorQuery:
    """Which errors to list, the most frequent first, or the newest; ``limit`` is 1..1000."""

    since: datetime
    until: datetime | None = None
    task: str | None = None
    order: Literal["number", "last_seen", "first_seen"] = "number"
    limit: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorGroup:
    """Failures of a task that have the same type and were raised at the same place.

    ``number`` counts those in the time that was asked for; ``first_seen`` and ``last_seen`` are
    over all that is kept. ``message`` and ``execution_id`` are those of the newest one.
    """

    fingerprint: str
    task: str
    type: str
    place: str
    message: str
    execution_id: str
    number: int
    first_seen: datetime
    last_seen: datetime


class StatsStorage(Protocol):
    """How attempts and executions ended, kept longer than they are."""

    def stats(self, query: StatsQuery) -> list[StatsCell]:
        """What ended in the spans of ``query``, exact at this moment; in any order."""
        ...

    def errors(self, query: ErrorQuery) -> list[ErrorGroup]:
        """The errors of failed attempts, by fingerprint; times are rounded down to the minute."""
        ...

    def fold_stats(self, *, epoch: int, limit: int) -> int:
        """Fold what some ``limit`` ends counted; at least ``limit`` if there may be more."""
        ...

    def pack_stats(self, *, epoch: int, limit: int) -> int:
        """Make minutes over `PLAIN_FOR` smaller, of up to ``limit`` tasks, queues and outcomes.

        Those of one hour at most, in one transaction; 0 if there are no more. What `stats` gives
        stays the same, also where something is counted in such an hour later.
        """
        ...

    def prune_stats(self, *, epoch: int, limit: int) -> int:
        """Remove up to ``limit`` rows that are over `STATISTICS_KEPT`."""
        ...
