"""Statistics, as HTTP knows them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from butler.monitoring.stats import ErrorOrder, TopBy, TopOrder
from butler.storage.stats import STATISTICS_KEPT
from butler.web.models.base import Given, Moment, Shown

_LONGEST_S = STATISTICS_KEPT.total_seconds()


class StatsWindow(Given):
    """What ended in which time; the last hour, unless something is said."""

    since: Moment | None = Field(None, description="From then; not with `last_s`.")
    last_s: float | None = Field(None, gt=0, le=_LONGEST_S, description="From so long ago.")
    until: Moment | None = Field(None, description="Up to then; else up to now.")


class QueueWindow(StatsWindow):
    """What ended on a queue, or on all."""

    queue: str | None = Field(
        None, max_length=100, description="Of this queue alone; a token bound to several names it."
    )


class SummaryOf(QueueWindow):
    """Of which task and queue."""

    task: str | None = Field(None, max_length=200, description="Of this task alone.")


class SeriesOf(SummaryOf):
    """And how it is kept apart."""

    step: Literal["minute", "hour", "day"] = Field(
        "minute", description="How long each is; all are kept for 90 days."
    )


class TopOf(QueueWindow):
    """What comes first."""

    by: TopBy = "task"
    order: TopOrder = "run_time"
    limit: int = Field(10, ge=1, le=1_000)


class ErrorsOf(StatsWindow):
    """Of which task, and what comes first; the last day, unless something is said."""

    task: str | None = Field(None, max_length=200, description="Of this task alone.")
    order: ErrorOrder = "number"
    limit: int = Field(20, ge=1, le=200)


class ShownTiming(Shown):
    """Durations in seconds; quantiles are within 1 %, null where nothing ran."""

    total_s: float
    mean_s: float | None
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None


class ShownSummary(Shown):
    """What ended from `since` up to `until`: executions by their end, and attempts."""

    since: datetime
    until: datetime
    ended: int
    succeeded: int
    failed: int
    cancelled: int
    expired: int = Field(description="Cancelled, because they came too late.")
    failure_rate: float | None = Field(description="0..1; null where nothing ended.")
    ended_per_s: float
    attempts: int
    retries: int
    timed_out: int
    lost: int
    crashed: int
    wait: ShownTiming = Field(description="From due to started.")
    run: ShownTiming = Field(description="From started to ended.")


class Series(Shown):
    """A summary a step, oldest first, the empty ones too."""

    points: list[ShownSummary]


class TopRow(Shown):
    """What ended of one task or one queue."""

    name: str
    summary: ShownSummary


class Top(Shown):
    """The tasks or queues with the most of something."""

    rows: list[TopRow]


class ShownErrorGroup(Shown):
    """Failures of a task of the same type and from the same place."""

    fingerprint: str
    task: str
    type: str
    place: str
    message: str | None = Field(
        description="The newest one's; null when that was removed: its secrets are not known."
    )
    execution_id: str = Field(description="The newest one.")
    number: int = Field(description="In the time that was asked for.")
    first_seen: datetime
    last_seen: datetime


class ErrorList(Shown):
    """Errors by type and place."""

    errors: list[ShownErrorGroup]
