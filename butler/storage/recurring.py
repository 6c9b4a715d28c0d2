"""The part of `Storage` that keeps recurring jobs.

The same rules hold: calls block and are thread-safe, batches are at most ``MAX_BATCH`` and atomic
each, and what takes an ``epoch`` does nothing when its caller no longer leads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from butler.recurring.job import (
        RecurringFire,
        RecurringJob,
        RecurringPage,
        RecurringStatistics,
    )
    from butler.storage.records import Moved
    from butler.storage.recurring_records import (
        DueJobs,
        FireQuery,
        RecurringChange,
        RecurringDefinition,
        RecurringPulse,
        RecurringQuery,
        RecurringStep,
        StepReply,
    )


class RecurringStorage(Protocol):
    """Definitions of recurring jobs and the record of their fires."""

    def now(self) -> datetime:
        """The ledger's clock, by which everything is due."""
        ...

    # Definitions

    def insert_recurring(self, jobs: Sequence[RecurringDefinition]) -> list[bool]:
        """Add jobs; for each whether it is there now: False where the name is another job's.

        Safe to repeat with the same ids.
        """
        ...

    def get_recurring(
        self, *, ids: Sequence[str] = (), names: Sequence[str] = ()
    ) -> list[RecurringJob]:
        """Those jobs with one of these ids or names that exist, by name."""
        ...

    def find_recurring(self, query: RecurringQuery) -> RecurringPage:
        """A page of jobs, by name in code point order."""
        ...

    def change_recurring(self, changes: Sequence[RecurringChange]) -> list[bool]:
        """Replace definitions but for name and source; the version grows by one.

        For each whether it was done: False where the job has another version or is gone.
        """
        ...

    def delete_recurring(self, ids: Sequence[str]) -> list[bool]:
        """Remove jobs with the record of their fires; executions stay. For each if it was there."""
        ...

    # Fires

    def recurring_fires(self, query: FireQuery) -> list[RecurringFire]:
        """The recorded fires of a job, newest first."""
        ...

    def recurring_statistics(self, job_id: str) -> RecurringStatistics:
        """What became of the newest 10,000 recorded fires of a job."""
        ...

    def fire_recurring(
        self, steps: Sequence[RecurringStep], *, epoch: int | None = None
    ) -> list[StepReply]:
        """Do steps, one for each job; one reply each, in order.

        A fire time that is recorded already makes no execution, unless it was waiting. An execution
        whose unique key is held is not made; its fire is recorded as skipped. Without an
        ``epoch`` anybody may call it.
        """
        ...

    # Scheduler

    def recurring_pulse(self) -> RecurringPulse:
        """When the next job is due; cheap, for it is asked several times a second."""
        ...

    def due_recurring(
        self, *, limit: int, ahead_s: float = 0.0, after: tuple[datetime, str] | None = None
    ) -> DueJobs:
        """Jobs that are due, or will be in ``ahead_s``, in (due_at, id) order after a cursor.

        Changes nothing.
        """
        ...

    def waiting_recurring(self, *, limit: int) -> DueJobs:
        """Enabled jobs that have waiting fires; changes nothing."""
        ...

    def cancel_overlapped(self, ids: Sequence[str], *, epoch: int) -> list[Moved]:
        """``Storage.cancel`` for executions that a newer fire replaces."""
        ...
