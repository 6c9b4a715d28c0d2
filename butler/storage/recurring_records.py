"""The values that go into and come out of a `RecurringStorage`.

As in ``records``: ids are UUID text, requests and schedules JSON text, times aware.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from butler.executions import Priority
    from butler.recurring.job import FireOutcome, JobStatus, Misfire, Overlap, RecurringJob
    from butler.storage.records import NewExecution, QueueEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurringDefinition:
    """All that is said about a job, and when it fires next; see `RecurringJob` for the fields.

    ``due_at`` is when a scheduler has to look at it, None for never. ``keep_request`` leaves the
    stored request (and its fingerprint and keys) as it is: JSON read into Python and written
    again is not always the same.
    """

    id: str
    name: str
    task: str
    request: str | None
    schedule: str
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
    next_fire_at: datetime | None
    due_at: datetime | None
    keep_request: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurringChange:
    """Replace a definition, if the job still has this version."""

    version: int
    definition: RecurringDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurringQuery:
    """Which jobs to list, by name; every filter that is given must hold.

    ``text`` is looked for in the name and the description, without regard to case. ``after`` is
    the ``next_cursor`` of the page before. ``limit`` is 1..1000.
    """

    status: frozenset[JobStatus] = frozenset()
    task: str | None = None
    queue: str | None = None
    tag: str | None = None
    owner: str | None = None
    source: str | None = None
    text: str | None = None
    after: str | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class FireQuery:
    """Which fires of a job to list, newest first; ``before`` is the last fire time of a page."""

    job_id: str
    outcomes: frozenset[FireOutcome] = frozenset()
    before: datetime | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class FireRow:
    """One fire to be recorded; with an ``execution`` where it fires now.

    The execution's ``request`` None stands for the job's own.
    """

    fire_at: datetime
    outcome: FireOutcome
    reason: str | None = None
    count: int = 1
    manual: bool = False
    execution: NewExecution | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurringStep:
    """What becomes of a job at one moment: its fires, and when it fires next. Atomic.

    It is done if the job still has ``version`` (None: any), still lists ``tracked`` as unfinished
    (None: whatever) and, where it ``plans``, is due and still waits for ``expected``. Only where it
    plans ``next_fire_at``, ``due_at`` and ``broken_reason`` are written.
    ``counted`` is added to its fires. ``finished`` are executions seen over, which no longer count
    as unfinished; ``tracks`` adds the executions of ``fires``. ``fingerprint`` is that under which
    the request was found valid, if it is new.
    """

    job_id: str
    version: int | None
    plans: bool = False
    expected: datetime | None = None
    next_fire_at: datetime | None = None
    due_at: datetime | None = None
    broken_reason: str | None = None
    fires: tuple[FireRow, ...] = ()
    counted: int = 0
    finished: tuple[str, ...] = ()
    tracks: bool = True
    tracked: tuple[str, ...] | None = None
    fingerprint: str | None = None

    def executions(self) -> list[tuple[FireRow, NewExecution]]:
        """What this step starts, with its fires."""
        return [(row, row.execution) for row in self.fires if row.execution is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReply:
    """Whether a step was done, and the executions it made, which need a push.

    ``held`` are executions that were not made because their unique keys are held. ``refused`` is
    the reason why the ledger cannot store the step; then nothing was done.
    """

    job_id: str
    applied: bool
    entries: tuple[QueueEntry, ...] = ()
    held: tuple[str, ...] = ()
    refused: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurringPulse:
    """The ledger's time, seconds until a job is due (<= 0: now), and whether any fire waits."""

    now: datetime
    due_in_s: float | None
    waiting: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DueJob:
    """A job to be decided, without its request (``job.request`` is None).

    ``tracked`` are the executions the job lists as unfinished: ``unfinished`` those that are so,
    oldest first, ``finished`` the others. ``waiting`` are its waiting fires, oldest first, at most
    101.
    """

    job: RecurringJob
    due_at: datetime | None
    tracked: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()
    finished: tuple[str, ...] = ()
    waiting: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DueJobs:
    """Jobs to be decided, and the ledger's time at which they were read."""

    now: datetime
    jobs: tuple[DueJob, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedPage:
    """How many executions were removed, the last one looked at, and whether more are old enough."""

    removed: int
    last: str | None
    more: bool
