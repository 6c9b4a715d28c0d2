"""What a health check says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime


class HealthLevel(StrEnum):
    """``degraded`` still does its work, but not as it should; ``unhealthy`` does not."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


_ORDER = tuple(HealthLevel)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """The result of one check: ``reason`` says what was found, ``remedy`` what to do.

    ``subject`` is what it is about, where a check looks at several things: a queue, a task, a job.
    """

    name: str
    level: HealthLevel
    reason: str
    remedy: str | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """All checks at one moment, the worst first."""

    at: datetime
    checks: tuple[HealthCheck, ...]

    @property
    def level(self) -> HealthLevel:
        """That of the worst check."""
        return worst(check.level for check in self.checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobHealth:
    """How a recurring job does, judged by its newest 100 fires.

    ``consecutive_failures`` counts executions that failed since one succeeded. ``last_run_s`` is
    how long the newest success ran, ``usual_run_s`` the median of those before it; None where
    there is none.
    """

    job: str
    level: HealthLevel
    reason: str
    remedy: str | None
    last_success_at: datetime | None
    consecutive_failures: int
    last_run_s: float | None
    usual_run_s: float | None


def worst(levels: Iterable[HealthLevel]) -> HealthLevel:
    """The worst of these; healthy where there is none."""
    return max(levels, key=_ORDER.index, default=HealthLevel.HEALTHY)


def worst_first(checks: Iterable[HealthCheck]) -> tuple[HealthCheck, ...]:
    """Checks in the order in which a person should read them."""
    return tuple(sorted(checks, key=lambda check: -_ORDER.index(check.level)))


def healthy(name: str, reason: str, *, subject: str | None = None) -> HealthCheck:
    """Nothing to do."""
    return HealthCheck(name=name, level=HealthLevel.HEALTHY, reason=reason, subject=subject)


def degraded(name: str, reason: str, remedy: str, *, subject: str | None = None) -> HealthCheck:
    """Not as it should be."""
    return HealthCheck(
        name=name, level=HealthLevel.DEGRADED, reason=reason, remedy=remedy, subject=subject
    )


def unhealthy(name: str, reason: str, remedy: str, *, subject: str | None = None) -> HealthCheck:
    """Work is not being done."""
    return HealthCheck(
        name=name, level=HealthLevel.UNHEALTHY, reason=reason, remedy=remedy, subject=subject
    )
