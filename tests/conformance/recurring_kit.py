"""Short ways to make recurring jobs and steps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ledger_driver import new_execution

from butler.ids import new_id, new_token
from butler.recurring.job import FireOutcome, Misfire, Overlap
from butler.storage.recurring_records import (
    FireRow,
    RecurringChange,
    RecurringDefinition,
    RecurringStep,
)

PAST = datetime(2020, 1, 1, 12, tzinfo=UTC)
LATER = PAST + timedelta(minutes=1)
FUTURE = datetime(2120, 1, 1, 12, tzinfo=UTC)
SCHEDULE = '{"type": "interval", "every_s": 60}'


def definition(**options):
    """A job that is due."""
    defaults = {
        "id": new_token(),
        "name": f"job {new_token()}",
        "task": "Send Mail",
        "request": '{"n": 1}',
        "schedule": SCHEDULE,
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
        "fingerprint": "f1",
        "next_fire_at": PAST,
        "due_at": PAST,
    }
    return RecurringDefinition(**(defaults | options))


def fired(fire_at=PAST, **options):
    """A fire that starts an execution; ``outcome`` and ``reason`` are the fire's."""
    outcome = options.pop("outcome", FireOutcome.FIRED)
    manual = options.pop("manual", False)
    new = new_execution(**({"id": new_id(), "request": None} | options))
    return FireRow(fire_at=fire_at, outcome=outcome, manual=manual, execution=new)


def plan(said, *fires, **options):
    """The step of a job that fires at its time and then a minute later."""
    defaults = {
        "job_id": said.id,
        "version": 1,
        "plans": True,
        "expected": said.next_fire_at,
        "next_fire_at": LATER,
        "due_at": LATER,
        "fires": fires,
        "counted": len(fires),
    }
    return RecurringStep(**(defaults | options))


def add(storage, **options):
    """Insert a job; its definition."""
    said = definition(**options)
    assert storage.insert_recurring([said]) == [True]
    return said


def get(storage, said):
    """The job as it is now."""
    [job] = storage.get_recurring(ids=[said.id])
    return job


def fire(storage, *steps, epoch=None):
    """Do one or more steps; the replies."""
    return storage.fire_recurring(steps, epoch=epoch)


def due(storage, said):
    """The job among those that are due; None when it is not."""
    return next((d for d in storage.due_recurring(limit=100).jobs if d.job.id == said.id), None)


def changed(said, *, version=1, **options):
    return RecurringChange(version=version, definition=replace(said, **options))
