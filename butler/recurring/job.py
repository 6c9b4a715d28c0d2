"""What a recurring job is, and what is known of its fires."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from butler.schedules import Cron, Interval, schedule_from_json

if TYPE_CHECKING:
    from butler.executions import ExecutionStatus, Priority
    from butler.schedules import Schedule


class Misfire(StrEnum):
    """What becomes of fires whose time passed while nobody could fire them.

    ``fire_once`` runs the newest of them if it is late by no more than the job's
    ``misfire_grace_s``, ``skip`` runs none, ``catch_up`` runs the newest ``catch_up_limit``. Those
    that are not run are recorded as missed.
    """

    FIRE_ONCE = "fire_once"
    SKIP = "skip"
    CATCH_UP = "catch_up"


class Overlap(StrEnum):
    """What becomes of a fire while ``max_concurrency`` executions of the job are unfinished.

    ``skip`` records it as skipped, ``allow`` runs it all the same, ``queue`` lets it wait until
    one has ended, ``cancel_running`` cancels the oldest and runs it.
    """

    SKIP = "skip"
    ALLOW = "allow"
    QUEUE = "queue"
    CANCEL_RUNNING = "cancel_running"


class JobStatus(StrEnum):
    """``broken``: its last fire was impossible, for ``broken_reason``; the next one is tried."""

    ACTIVE = "active"
    PAUSED = "paused"
    BROKEN = "broken"
    ENDED = "ended"


class FireOutcome(StrEnum):
    """What became of one fire time.

    ``fired`` made an execution; ``waiting`` will, when earlier ones have ended; ``skipped`` met an
    unfinished one; ``missed`` passed while nobody could fire; ``broken`` could not be fired.
    """

    FIRED = "fired"
    WAITING = "waiting"
    SKIPPED = "skipped"
    MISSED = "missed"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurringJob:
    """A recurring job as it was when it was read; ``version`` grows with each change of it.

    ``queue``, ``priority``, ``max_attempts`` and ``timeout_s`` are the task's where they are None.
    ``owner`` becomes the executions' ``user_id``. ``source`` names the application whose code
    declares the job, None for one that was made through the API. ``fires`` counts the executions
    its schedule made. ``next_fire_at`` is the next time of its schedule, at which it runs plus its
    share of ``jitter_s``; None when there is none. Times are aware, in UTC.
    """

    id: str
    name: str
    task: str
    request: Any
    schedule_json: str
    enabled: bool
    misfire: Misfire
    misfire_grace_s: float
    catch_up_limit: int
    overlap: Overlap
    max_concurrency: int
    jitter_s: float
    starts_at: datetime | None
    ends_at: datetime | None
    max_fires: int | None
    queue: str | None
    priority: Priority | None
    max_attempts: int | None
    timeout_s: float | None
    tags: tuple[str, ...]
    description: str
    owner: str | None
    source: str | None
    unique_key: str | None
    fair_key: str | None
    fingerprint: str | None
    version: int
    fires: int
    next_fire_at: datetime | None
    last_fire_at: datetime | None
    broken_reason: str | None
    created_at: datetime
    updated_at: datetime

    @property
    def schedule(self) -> Schedule:
        """When it fires; `InvalidSchedule` for one that this release cannot read."""
        return read_schedule(self.schedule_json)

    @property
    def status(self) -> JobStatus:
        """How it stands."""
        if not self.enabled:
            return JobStatus.PAUSED
        if self.broken_reason is not None:
            return JobStatus.BROKEN
        return JobStatus.ENDED if self.next_fire_at is None else JobStatus.ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurringPage:
    """A page of jobs, by name; ``next_cursor`` is None on the last one."""

    jobs: tuple[RecurringJob, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurringFire:
    """What became of one fire time, or of ``count`` consecutive ones that were missed.

    ``manual`` marks a trigger by hand. ``execution_status`` is None where there is no execution,
    or no longer.
    """

    job_id: str
    fire_at: datetime
    outcome: FireOutcome
    manual: bool
    count: int
    reason: str | None
    recorded_at: datetime
    execution_id: str | None = None
    execution_status: ExecutionStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurringStatistics:
    """What the ledger still remembers of a job's fires.

    ``fires`` counts fire times by outcome, ``executions`` their executions by status. Durations
    are those of succeeded executions, from start to end, in seconds; None where there is none.
    """

    fires: dict[FireOutcome, int]
    executions: dict[ExecutionStatus, int]
    mean_duration_s: float | None
    longest_duration_s: float | None
    last_success_at: datetime | None
    last_failure_at: datetime | None


# As many distinct schedules as a large installation has; half a kilobyte each.
@lru_cache(maxsize=20_000)
def read_schedule(form: str) -> Schedule:
    """The schedule of a JSON text as `schedule_text` writes it; raises `InvalidSchedule`.

    The simple kinds are built straight from what was validated when it was saved: a scheduler
    whose jobs outnumber the cache would spend half its time in the general reader.
    """
    fields: dict[str, Any] = json.loads(form)
    match fields:
        case {"type": "cron", "expression": str(expression), "timezone": str(timezone)}:
            return Cron(expression, timezone=timezone)
        case {"type": "interval", "every_s": float() | int() as every_s, "anchor": str(anchor)}:
            return Interval(every_s, anchor=datetime.fromisoformat(anchor))
    return schedule_from_json(fields)


def schedule_text(schedule: Schedule) -> str:
    """The JSON text of a schedule."""
    return json.dumps(schedule.to_json())
