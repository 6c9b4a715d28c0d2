"""Recurring jobs in an application's own tests: a Butler in memory, whose clock can be moved."""

from __future__ import annotations

from datetime import timedelta

from worker_kit import wait_for

from butler import Butler, Cron
from butler.recurring.job import FireOutcome


def test_a_declared_job_fires_when_the_clock_is_moved_to_its_time():
    with Butler.in_memory() as butler:
        ran = []

        @butler.recurring(Cron("0 2 * * *"), request=7)
        @butler.task
        def report(request: int) -> None:
            ran.append(request)

        with butler.worker():
            due_at = butler.recurring.get("report").next_fire_at
            butler.clock.advance((due_at - butler.clock.now()).total_seconds() + 1)
            wait_for(lambda: ran == [7])
        [fire] = butler.recurring.history("report")
        assert (fire.fire_at, fire.outcome) == (due_at, FireOutcome.FIRED)
        assert butler.recurring.get("report").next_fire_at == due_at + timedelta(days=1)
