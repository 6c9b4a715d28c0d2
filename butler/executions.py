"""What the ledger knows about one requested run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime


class ExecutionStatus(StrEnum):
    """Where an execution is in its life; ``lifecycle.py`` says what may follow what."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def finished(self) -> bool:
        """True for the three states that only an operator's retry leaves."""
        return self in TERMINAL


TERMINAL = frozenset({ExecutionStatus.SUCCEEDED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED})


class Priority(StrEnum):
    """Which of a queue's three lists an execution waits in; drained in this order."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class AttemptOutcome(StrEnum):
    """How one attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    RESCHEDULED = "rescheduled"
    HANDED_BACK = "handed_back"
    LOST = "lost"
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRecord:
    """What went wrong: text only, cleaned of NUL and lone surrogates, cut with a mark.

    ``type`` is the exception's qualified name; ``details`` holds pydantic's field errors when a
    request did not validate.
    """

    type: str
    message: str
    traceback: str | None = None
    details: tuple[dict[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The form the ledger stores."""
        record: dict[str, Any] = {"type": self.type, "message": self.message}
        if self.traceback is not None:
            record["traceback"] = self.traceback
        if self.details:
            record["details"] = list(self.details)
        return record

    @classmethod
    def from_json(cls, record: dict[str, Any] | None) -> ErrorRecord | None:
        """Read what ``to_json`` wrote; None stays None."""
        if record is None:
            return None
        return cls(
            type=record["type"],
            message=record["message"],
            traceback=record.get("traceback"),
            details=tuple(record.get("details", ())),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at an execution. ``counted`` is false where it does not use up ``max_attempts``."""

    number: int
    outcome: AttemptOutcome
    counted: bool
    worker_id: str | None
    started_at: datetime | None
    finished_at: datetime
    error: ErrorRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a running execution says it is: percent in 0..100."""

    percent: float
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One row of the ledger, as it was when it was read.

    ``request`` and ``result`` are plain JSON values. ``attempt`` grows with every claim;
    ``attempts`` holds each one that is over (empty in listings, filled by ``get``).
    ``attempts_used`` is what counts against ``max_attempts``. ``reason`` says why it waits, or why
    it was cancelled where nobody asked for that (`lifecycle.EXPIRED`). No attempt starts after
    ``expires_at``. Times are aware, in UTC.
    """

    id: str
    task: str
    status: ExecutionStatus
    queue: str
    priority: Priority
    request: Any
    result: Any
    error: ErrorRecord | None
    attempt: int
    uncounted: int
    max_attempts: int
    crashes: int
    timeout_s: float | None
    progress: Progress | None
    tags: tuple[str, ...]
    user_id: str | None
    unique_key: str | None
    parent_id: str | None
    rerun_of: str | None
    worker_id: str | None
    cancel_requested_at: datetime | None
    run_at: datetime
    created_at: datetime
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None = None
    reason: str | None = None
    attempts: tuple[Attempt, ...] = ()

    @property
    def attempts_used(self) -> int:
        """How many attempts count: drains, lost hosts and their kin do not."""
        return self.attempt - self.uncounted
