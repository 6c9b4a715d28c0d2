"""What the leader reads of a ledger to judge how it does: a `LedgerPicture`, at one moment.

Every part of it is bounded, because it is read every few seconds from ledgers with millions of
rows: the oldest that wait, the newest that ended. Times are aware, in UTC, by the ledger's clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from butler.storage.records import WorkerRow

INTERNAL_QUEUE = "_butler"
"""The queue of Butler's own deliveries: the leader serves it, and nothing is said about it."""

INTERNAL_TASK = "butler.deliver_alert"
"""What those deliveries are called in listings and statistics."""

QUEUED_SEEN = 100_000
ENDS_SEEN = 20_000
FAILURES_SEEN = 1_000
FIRES_SEEN = 2_000
OVERDUE_AFTER_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePicture:
    """What waits on a queue; of the `QUEUED_SEEN` executions that have waited longest."""

    queue: str
    depth: int
    oldest_queued_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingTask:
    """Executions that were handed back because no worker knows their task, or its new schema."""

    task: str
    reason: str
    count: int
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningExecution:
    """One that runs now."""

    id: str
    task: str
    queue: str
    worker_id: str | None
    started_at: datetime
    timeout_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How an execution ended; ``error`` is its type and message on one line."""

    id: str
    task: str
    queue: str
    succeeded: bool
    finished_at: datetime
    took_s: float | None
    crashes: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedJob:
    """A recurring job that is overdue, or that cannot fire."""

    id: str
    name: str
    task: str
    due_at: datetime | None
    broken_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedFire:
    """A recent fire time of a recurring job, and how its execution ended, if it did.

    ``succeeded`` is None where there is no execution, where it is not over, or was cancelled.
    """

    job: str
    fire_at: datetime
    recorded_at: datetime
    outcome: str
    execution_id: str | None
    succeeded: bool | None
    finished_at: datetime | None
    took_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerPicture:
    """A ledger at ``now``.

    ``ends`` are the newest executions that succeeded or failed, and besides the newest that failed,
    newest first; ``fires`` likewise. Reading it took ``took_s``.
    """

    now: datetime
    leader: str | None = None
    queues: tuple[QueuePicture, ...] = ()
    waiting: tuple[WaitingTask, ...] = ()
    running: tuple[RunningExecution, ...] = ()
    ends: tuple[End, ...] = ()
    workers: tuple[WorkerRow, ...] = ()
    jobs: tuple[WatchedJob, ...] = ()
    fires: tuple[WatchedFire, ...] = ()
    took_s: float = 0.0
