"""How a recurring job is doing, judged by what the ledger knows of it (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from butler.recurring.job import JobStatus

if TYPE_CHECKING:
    from datetime import datetime

    from butler.recurring.job import RecurringJob, RecurringStatistics

# A leading scheduler that dies is replaced within seconds; a clock that jumps holds for half a
# minute.
LATE_AFTER_S = 60.0


class JobVerdict(StrEnum):
    """``late``: its next fire time has passed; ``failing``: its newest end was a failure."""

    HEALTHY = "healthy"
    LATE = "late"
    FAILING = "failing"
    BROKEN = "broken"
    PAUSED = "paused"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobHealth:
    """A verdict, and the reason for one that is not healthy."""

    verdict: JobVerdict
    reason: str | None = None


def health_of(job: RecurringJob, statistics: RecurringStatistics, *, now: datetime) -> JobHealth:
    """How a job stands at ``now``, the ledger's time."""
    if job.status is JobStatus.PAUSED:
        return JobHealth(verdict=JobVerdict.PAUSED, reason="it does not fire until it is resumed")
    if job.status is JobStatus.BROKEN:
        return JobHealth(verdict=JobVerdict.BROKEN, reason=job.broken_reason)
    if job.status is JobStatus.ENDED or job.next_fire_at is None:
        return JobHealth(verdict=JobVerdict.ENDED, reason="it has no more fire times")
    late_s = (now - job.next_fire_at - timedelta(seconds=job.jitter_s)).total_seconds()
    if late_s > LATE_AFTER_S:
        reason = f"its fire time passed {late_s:.0f} s ago: does a scheduler run?"
        return JobHealth(verdict=JobVerdict.LATE, reason=reason)
    failed, succeeded = statistics.last_failure_at, statistics.last_success_at
    if failed is not None and (succeeded is None or failed > succeeded):
        return JobHealth(verdict=JobVerdict.FAILING, reason="its newest execution to end failed")
    return JobHealth(verdict=JobVerdict.HEALTHY)
