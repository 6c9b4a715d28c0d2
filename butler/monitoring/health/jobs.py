"""Checks of recurring jobs: late, broken, failing, slower than they used to be (pure)."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from butler.durations import seconds_text
from butler.monitoring.health import limits
from butler.monitoring.health.verdict import (
    HealthLevel,
    JobHealth,
    degraded,
    healthy,
    unhealthy,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from butler.monitoring.health.verdict import HealthCheck
    from butler.storage.monitoring_records import LedgerPicture, WatchedFire

HISTORY = "butler recurring history shows what became of its fires"


def check_jobs(picture: LedgerPicture) -> Iterator[HealthCheck]:
    """Late and broken jobs, and those whose newest executions failed."""
    checks = [*_overdue(picture), *_failing(picture)]
    yield from checks
    if not checks:
        yield healthy("recurring_jobs", "each fires on time, and its executions succeed")


def failures_in_a_row(fires: Iterable[WatchedFire]) -> int:
    """Executions that failed since one succeeded; ``fires`` are of one job, newest first."""
    count = 0
    for fire in fires:
        if fire.succeeded:
            break
        count += fire.succeeded is False
    return count


def by_job(fires: Iterable[WatchedFire]) -> dict[str, list[WatchedFire]]:
    """Fires of each job, newest first."""
    found: dict[str, list[WatchedFire]] = {}
    for fire in sorted(fires, key=lambda each: each.fire_at, reverse=True):
        found.setdefault(fire.job, []).append(fire)
    return found


def job_health(
    job: str, fires: Sequence[WatchedFire], *, broken_reason: str | None, late_s: float
) -> JobHealth:
    """How one job does; ``fires`` newest first, ``late_s`` how long its next one is overdue."""
    failures = failures_in_a_row(fires)
    successes = [fire for fire in fires if fire.succeeded]
    runs = [fire.took_s for fire in successes if fire.took_s is not None]
    last_run_s = runs[0] if runs else None
    usual_run_s = median(runs[1:]) if len(runs) > 1 else None
    level, reason, remedy = HealthLevel.HEALTHY, "fires on time and succeeds", None
    if last_run_s is not None and _is_slow(last_run_s, runs[1:]):
        assert usual_run_s is not None
        level, remedy = HealthLevel.DEGRADED, "see what it waited for: butler executions logs"
        reason = (
            f"its last run took {seconds_text(last_run_s)}, usually it takes "
            f"{seconds_text(usual_run_s)}"
        )
    if failures:
        many = failures >= limits.FAILING_JOB
        level = HealthLevel.UNHEALTHY if many else HealthLevel.DEGRADED
        times = "once" if failures == 1 else f"{failures} times in a row"
        reason, remedy = f"failed {times}", HISTORY
    if late_s >= limits.LATE_S:
        level = HealthLevel.UNHEALTHY
        reason = f"should have fired {seconds_text(late_s)} ago"
        remedy = "is a scheduler running, and does it reach Postgres?"
    if broken_reason is not None:
        level, reason = HealthLevel.UNHEALTHY, f"cannot fire: {broken_reason}"
        remedy = "correct the job (butler recurring show), or the task it names"
    return JobHealth(
        job=job,
        level=level,
        reason=reason,
        remedy=remedy,
        last_success_at=successes[0].finished_at if successes else None,
        consecutive_failures=failures,
        last_run_s=last_run_s,
        usual_run_s=usual_run_s,
    )


def _is_slow(last_s: float, before: Sequence[float]) -> bool:
    if len(before) < limits.RUNS_TO_COMPARE:
        return False
    return last_s >= max(limits.SLOW_RUN_AT_LEAST_S, limits.SLOW_RUN_FACTOR * median(before))


def _overdue(picture: LedgerPicture) -> Iterator[HealthCheck]:
    for job in picture.jobs:
        if job.broken_reason is not None:
            yield unhealthy(
                "recurring_jobs",
                f"{job.name!r} cannot fire: {job.broken_reason}",
                "correct the job (butler recurring show), or the task it names",
                subject=job.name,
            )
            continue
        late_s = 0.0 if job.due_at is None else (picture.now - job.due_at).total_seconds()
        if late_s >= limits.LATE_S:
            yield unhealthy(
                "recurring_jobs",
                f"{job.name!r} should have fired {seconds_text(late_s)} ago",
                "is a scheduler running, and does it reach Postgres?",
                subject=job.name,
            )


def _failing(picture: LedgerPicture) -> Iterator[HealthCheck]:
    for job, fires in by_job(picture.fires).items():
        failures = failures_in_a_row(fires)
        if failures >= limits.FAILING_JOB:
            words = f"{job!r} failed {failures} times in a row"
            yield degraded("recurring_jobs", words, HISTORY, subject=job)
