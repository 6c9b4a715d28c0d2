"""A recurring job out of thin air."""

from __future__ import annotations

from datetime import UTC, datetime

from butler.recurring.job import Misfire, Overlap, RecurringJob, schedule_text
from butler.schedules import Interval

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTELY = Interval(60)


def job(schedule=MINUTELY, **options):
    """An active job that fires next at noon."""
    defaults = {
        "id": "018f0000-0000-7000-8000-000000000001",
        "name": "nightly",
        "task": "t",
        "request": None,
        "schedule_json": schedule_text(schedule),
        "enabled": True,
        "misfire": Misfire.FIRE_ONCE,
        "misfire_grace_s": 300.0,
        "catch_up_limit": 100,
        "overlap": Overlap.SKIP,
        "max_concurrency": 1,
        "jitter_s": 0.0,
        "starts_at": None,
        "ends_at": None,
        "max_fires": None,
        "queue": None,
        "priority": None,
        "max_attempts": None,
        "timeout_s": None,
        "tags": (),
        "description": "",
        "owner": None,
        "source": None,
        "unique_key": None,
        "fair_key": None,
        "fingerprint": None,
        "version": 1,
        "fires": 0,
        "next_fire_at": NOON,
        "last_fire_at": None,
        "broken_reason": None,
        "created_at": NOON,
        "updated_at": NOON,
    }
    return RecurringJob(**(defaults | options))
