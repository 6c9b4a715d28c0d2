"""Recurring jobs, as HTTP knows them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field

from butler.executions import ExecutionStatus, Priority
from butler.monitoring.health.verdict import HealthLevel
from butler.options import MAX_ATTEMPTS, MAX_TIMEOUT_S
from butler.recurring.job import FireOutcome, JobStatus, Misfire, Overlap
from butler.recurring.options import MAX_CATCH_UP, MAX_CONCURRENCY, MAX_FIRES
from butler.web.models.base import Given, Moment, Shown, given_like

_YEAR_S = 365 * 86_400.0

NIGHTLY = {"type": "cron", "expression": "30 2 * * *", "timezone": "Europe/Berlin"}

ScheduleForm = Annotated[
    dict[str, Any],
    Field(
        description="A schedule in its JSON form: `type` is cron, interval, once, …",
        examples=[NIGHTLY],
    ),
]


def _form(schedule: Any) -> Any:
    """A schedule's JSON text, read."""
    return json.loads(schedule) if isinstance(schedule, str) else schedule


class JobOptions(Given):
    """What may be said about a job beside its task, request and schedule."""

    enabled: bool | None = None
    misfire: Misfire | None = None
    misfire_grace_s: float | None = Field(None, ge=0, le=_YEAR_S)
    catch_up_limit: int | None = Field(None, ge=1, le=MAX_CATCH_UP)
    overlap: Overlap | None = None
    max_concurrency: int | None = Field(None, ge=1, le=MAX_CONCURRENCY)
    jitter_s: float | None = Field(None, ge=0, le=_YEAR_S)
    starts_at: Moment | None = None
    ends_at: Moment | None = None
    max_fires: int | None = Field(None, ge=1, le=MAX_FIRES)
    queue: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]{1,100}$")
    priority: Priority | None = None
    max_attempts: int | None = Field(None, ge=1, le=MAX_ATTEMPTS)
    timeout_s: float | None = Field(None, gt=0, le=MAX_TIMEOUT_S)
    tags: list[Annotated[str, Field(min_length=1, max_length=100)]] | None = Field(
        None, max_length=50
    )
    description: str | None = Field(None, max_length=10_000)
    owner: str | None = Field(None, min_length=1, max_length=200)

    def options(self) -> dict[str, Any]:
        """Those that were given; one that is null goes back to its default."""
        return {name: getattr(self, name) for name in JobOptions.model_fields if self.has(name)}

    def has(self, name: str) -> bool:
        """Whether this was given, if only as null."""
        return name in self.model_fields_set


class NewJob(JobOptions):
    """A recurring job to be made."""

    model_config = given_like({"name": "Nightly report", "task": "report", "schedule": NIGHTLY})

    name: str = Field(min_length=1, max_length=200)
    task: str = Field(min_length=1, max_length=200)
    schedule: ScheduleForm
    request: Any = None


class JobChange(JobOptions):
    """What to change of a job; the rest stays. A secret that is still `***` stays as well."""

    model_config = given_like({"schedule": NIGHTLY, "jitter_s": 30})

    task: str | None = Field(None, min_length=1, max_length=200)
    schedule: ScheduleForm | None = None
    request: Any = None


class ShownJob(Shown):
    """A recurring job; `queue`, `priority`, `max_attempts`, `timeout_s` are the task's if null."""

    id: str
    name: str
    status: JobStatus
    task: str
    request: Any = Field(description="Secrets are `***`.")
    schedule: Annotated[dict[str, Any], BeforeValidator(_form)] = Field(
        # As a record has it, and as a client reads it.
        validation_alias=AliasChoices("schedule_json", "schedule"),
        description="The schedule in its JSON form.",
    )
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
    tags: list[str]
    description: str
    owner: str | None
    source: str | None = Field(description="The application whose code declares it.")
    version: int = Field(description="What `If-Match` takes, in quotes.")
    fires: int
    next_fire_at: datetime | None
    last_fire_at: datetime | None
    broken_reason: str | None
    created_at: datetime
    updated_at: datetime


class JobPage(Shown):
    """A page of jobs, by name."""

    jobs: list[ShownJob]
    next_cursor: str | None


class ShownFire(Shown):
    """What became of one fire time, or of `count` consecutive ones that were missed."""

    fire_at: datetime
    outcome: FireOutcome
    manual: bool = Field(description="Triggered by hand.")
    count: int
    reason: str | None
    recorded_at: datetime
    execution_id: str | None
    execution_status: ExecutionStatus | None


class JobHistory(Shown):
    """What became of a job's fire times, newest first."""

    fires: list[ShownFire]
    next_before: datetime | None = Field(description="`before` for older ones, if any.")


class JobStatistics(Shown):
    """What the ledger still remembers of a job's newest 10,000 fires."""

    fires: dict[FireOutcome, int]
    executions: dict[ExecutionStatus, int]
    mean_duration_s: float | None
    longest_duration_s: float | None
    last_success_at: datetime | None
    last_failure_at: datetime | None


class ShownJobHealth(Shown):
    """How a job does, judged by its newest 100 fires."""

    job: str = Field(description="Its name.")
    level: HealthLevel
    reason: str
    remedy: str | None
    last_success_at: datetime | None
    consecutive_failures: int = Field(description="Executions that failed since one succeeded.")
    last_run_s: float | None = Field(description="How long the newest success ran.")
    usual_run_s: float | None = Field(description="The median of those before it.")


class ShownPreview(Shown):
    """One coming fire, and what a change of clocks does to it."""

    at: datetime
    local: datetime
    moved: bool
    note: str


class Preview(Shown):
    """The next fire times."""

    fires: list[ShownPreview]


class PreviewOf(Given):
    """A schedule that need not be saved anywhere."""

    model_config = given_like({"schedule": NIGHTLY, "count": 5})

    schedule: ScheduleForm
    count: int = Field(10, ge=1, le=100)


class Trigger(Given):
    """Another request than the job's own, for this time."""

    model_config = given_like({"request": {"day": "2026-11-24"}})

    request: Any = None


class JobFilter(Given):
    """Every filter that is given must hold."""

    status: list[JobStatus] = Field([], max_length=4)
    task: str | None = Field(None, max_length=200)
    queue: str | None = Field(None, max_length=100)
    tag: str | None = Field(None, max_length=100)
    owner: str | None = Field(None, max_length=200)
    source: str | None = Field(None, max_length=200)
    text: str | None = Field(None, max_length=200, description="In the name or the description.")


class JobSelection(Given):
    """One step for these jobs (names or ids), or for all that a filter lets through."""

    model_config = given_like({"action": "pause", "filter": {"tag": "reports"}, "dry_run": True})

    action: Literal["pause", "resume", "trigger", "delete"]
    jobs: list[Annotated[str, Field(max_length=200)]] | None = Field(
        None, min_length=1, max_length=1_000
    )
    filter: JobFilter | None = None
    dry_run: bool = False


class JobStepReport(Shown):
    """What a step for many did, or with `dry_run` would do, by the names of jobs."""

    action: str
    dry_run: bool
    done: list[str]
    failed: dict[str, str] = Field(description="The reason for each that it was not done for.")
