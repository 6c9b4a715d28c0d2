"""The recurring jobs of the memory ledger, and the record of their fires."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from butler.executions import ExecutionStatus
from butler.recurring.job import RecurringFire, RecurringJob, RecurringStatistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from butler.storage.memory.rows import Row
    from butler.storage.recurring_records import (
        FireRow,
        RecurringDefinition,
        RecurringQuery,
        RecurringStep,
    )

NEWEST_COUNTED = 10_000


@dataclass(slots=True, kw_only=True)
class JobRow:
    """One job: what is said about it, and how it stands."""

    definition: RecurringDefinition
    created_at: datetime
    updated_at: datetime
    version: int = 1
    fires: int = 0
    last_fire_at: datetime | None = None
    broken_reason: str | None = None
    unfinished: list[str] = field(default_factory=list)
    recorded: dict[datetime, RecurringFire] = field(default_factory=dict)

    def to_job(self, *, with_request: bool = True) -> RecurringJob:
        """The job as readers see it."""
        said = self.definition
        shown = said.request if with_request else None
        return RecurringJob(
            id=said.id,
            name=said.name,
            task=said.task,
            request=None if shown is None else json.loads(shown),
            schedule_json=said.schedule,
            enabled=said.enabled,
            misfire=said.misfire,
            misfire_grace_s=said.misfire_grace_s,
            catch_up_limit=said.catch_up_limit,
            overlap=said.overlap,
            max_concurrency=said.max_concurrency,
            jitter_s=said.jitter_s,
            starts_at=said.starts_at,
            ends_at=said.ends_at,
            max_fires=said.max_fires,
            queue=said.queue,
            priority=said.priority,
            max_attempts=said.max_attempts,
            timeout_s=said.timeout_s,
            tags=said.tags,
            description=said.description,
            owner=said.owner,
            source=said.source,
            unique_key=said.unique_key,
            fair_key=said.fair_key,
            fingerprint=said.fingerprint,
            version=self.version,
            fires=self.fires,
            next_fire_at=said.next_fire_at,
            last_fire_at=self.last_fire_at,
            broken_reason=self.broken_reason,
            created_at=self.created_at,
            updated_at=self.updated_at,
        )

    def change(self, new: RecurringDefinition, *, now: datetime) -> None:
        """Take another definition, but keep name and source."""
        old = self.definition
        if new.keep_request:
            new = replace(
                new,
                request=old.request,
                unique_key=old.unique_key,
                fair_key=old.fair_key,
                fingerprint=old.fingerprint,
                keep_request=False,
            )
        self.definition = replace(new, name=old.name, source=old.source)
        self.version += 1
        self.broken_reason = None
        self.updated_at = now

    def allows(self, step: RecurringStep, *, now: datetime) -> bool:
        """Whether the job is as it was when the step was decided, and due where it plans."""
        if step.version is not None and step.version != self.version:
            return False
        if step.tracked is not None and list(step.tracked) != self.unfinished:
            return False
        said = self.definition
        is_due = said.due_at is not None and said.due_at <= now
        return not step.plans or (is_due and step.expected == said.next_fire_at)

    def take(self, step: RecurringStep) -> None:
        """All of a step but its fires."""
        if step.plans:
            self.definition = replace(
                self.definition, next_fire_at=step.next_fire_at, due_at=step.due_at
            )
            self.broken_reason = step.broken_reason
        if step.fingerprint is not None:
            self.definition = replace(self.definition, fingerprint=step.fingerprint)
        self.fires += step.counted
        started = [new.id for _, new in step.executions()] if step.tracks else []
        known = [*self.unfinished, *started]
        self.unfinished = [id_ for id_ in known if id_ not in step.finished]
        fired = [row.fire_at for row, _ in step.executions()]
        last = [at for at in (self.last_fire_at, *fired) if at is not None]
        self.last_fire_at = max(last, default=None)

    def may_record(self, fire_at: datetime) -> bool:
        """Whether this fire time is new, or waiting."""
        known = self.recorded.get(fire_at)
        return known is None or known.outcome == "waiting"

    def record(self, row: FireRow, *, now: datetime) -> None:
        """Write one fire down."""
        known = self.recorded.get(row.fire_at)
        self.recorded[row.fire_at] = RecurringFire(
            job_id=self.definition.id,
            fire_at=row.fire_at,
            outcome=row.outcome,
            manual=known.manual if known else row.manual,
            count=row.count,
            reason=row.reason,
            recorded_at=now,
            execution_id=row.execution.id if row.execution else None,
        )

    def waiting(self) -> list[datetime]:
        """Fire times that wait, oldest first."""
        return sorted(at for at, fire in self.recorded.items() if fire.outcome == "waiting")


class JobTable:
    """All jobs, by id."""

    def __init__(self) -> None:
        self._jobs: dict[str, JobRow] = {}

    def __iter__(self) -> Iterator[JobRow]:
        """By name."""
        return iter(sorted(self._jobs.values(), key=lambda row: row.definition.name))

    def get(self, job_id: str) -> JobRow | None:
        """The job with this id."""
        return self._jobs.get(job_id)

    def add(self, definition: RecurringDefinition, *, now: datetime) -> bool:
        """Add a job; False where another one has the name."""
        if definition.id in self._jobs:
            return True
        if any(row.definition.name == definition.name for row in self._jobs.values()):
            return False
        self._jobs[definition.id] = JobRow(definition=definition, created_at=now, updated_at=now)
        return True

    def remove(self, job_id: str) -> bool:
        """Forget a job and its fires; whether it was there."""
        return self._jobs.pop(job_id, None) is not None


def matches(job: RecurringJob, query: RecurringQuery) -> bool:
    """Whether a job passes every filter but the cursor."""
    text = None if query.text is None else query.text.casefold()
    return (
        (not query.status or job.status in query.status)
        and query.task in (None, job.task)
        and query.queue in (None, job.queue)
        and query.owner in (None, job.owner)
        and query.source in (None, job.source)
        and (query.tag is None or query.tag in job.tags)
        and (text is None or text in job.name.casefold() or text in job.description.casefold())
    )


def statistics(
    fires: Iterable[RecurringFire], find: Callable[[str], Row | None]
) -> RecurringStatistics:
    """What became of fires and of their executions."""
    outcomes: Counter[str] = Counter()
    executions: list[Row] = []
    for fire in fires:
        outcomes[fire.outcome] += fire.count
        row = None if fire.execution_id is None else find(fire.execution_id)
        if row is not None:
            executions.append(row)
    durations = [
        (row.finished_at - row.started_at).total_seconds()
        for row in executions
        if row.status is ExecutionStatus.SUCCEEDED and row.finished_at and row.started_at
    ]
    return RecurringStatistics(
        fires=dict(outcomes),  # type: ignore[arg-type]  # the keys are members of the StrEnum
        executions=dict(Counter(row.status for row in executions)),
        mean_duration_s=sum(durations) / len(durations) if durations else None,
        longest_duration_s=max(durations, default=None),
        last_success_at=_last_end(executions, ExecutionStatus.SUCCEEDED),
        last_failure_at=_last_end(executions, ExecutionStatus.FAILED),
    )


def _last_end(executions: Iterable[Row], status: ExecutionStatus) -> datetime | None:
    ends = [row.finished_at for row in executions if row.status is status]
    return max((end for end in ends if end is not None), default=None)
