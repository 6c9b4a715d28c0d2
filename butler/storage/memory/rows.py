"""The rows of the memory ledger, and the one table that moves them.

`RowTable.move` is this backend's door for status: it refuses what ``lifecycle.MOVES`` does not
hold, and gives and takes unique keys in the same step. Nothing here locks; `MemoryStorage` does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from butler.errors import IllegalTransition
from butler.executions import (
    TERMINAL,
    Attempt,
    AttemptOutcome,
    ErrorRecord,
    Execution,
    ExecutionStatus,
)
from butler.lifecycle import EXPIRED, MOVES
from butler.limiting import fair_key_of
from butler.storage.memory.stats import Tally
from butler.storage.records import Claimed, QueueEntry, RunningAttempt, Standing
from butler.storage.stats import Ending

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from butler.executions import Progress
    from butler.storage.logs import LogLine
    from butler.storage.records import ExecutionEvent, NewExecution


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedAttempt:
    """The record of an attempt that is over, with the token that fenced it."""

    attempt: Attempt
    claim_token: str


@dataclass(slots=True, kw_only=True)
class Row:
    """One execution. Satisfies ``lifecycle.ClaimedAttempt`` for the attempt it is in.

    The claim token stays after the attempt's end, so that a repeated finish is recognised.
    """

    new: NewExecution
    status: ExecutionStatus
    max_attempts: int
    run_at: datetime
    created_at: datetime
    expires_at: datetime | None = None
    queued_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    attempt: int = 0
    uncounted: int = 0
    crashes: int = 0
    alone: bool = False
    claim_token: str = ""
    worker_id: str | None = None
    result: str | None = None
    error: str | None = None
    reason: str | None = None
    progress: Progress | None = None
    ended: list[EndedAttempt] = field(default_factory=list)
    events: list[ExecutionEvent] = field(default_factory=list)
    logs: dict[int, LogLine] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The execution's id."""
        return self.new.id

    @property
    def attempts_used(self) -> int:
        """Attempts that count."""
        return self.attempt - self.uncounted

    def expired(self, now: datetime) -> bool:
        """Whether no attempt may start any more."""
        return self.expires_at is not None and self.expires_at <= now

    def runs_as(self, attempt: int, claim_token: str) -> bool:
        """The fence: whether this very attempt is what runs now."""
        running = self.status is ExecutionStatus.RUNNING
        return running and self.attempt == attempt and self.claim_token == claim_token

    def outcome_of(self, attempt: int, claim_token: str) -> AttemptOutcome | None:
        """How that attempt ended here; None when this row knows of no such end."""
        succeeded = self.status is ExecutionStatus.SUCCEEDED
        if succeeded and self.attempt == attempt and self.claim_token == claim_token:
            return AttemptOutcome.SUCCEEDED
        for ended in self.ended:
            if ended.attempt.number == attempt and ended.claim_token == claim_token:
                return ended.attempt.outcome
        return None

    def to_entry(self) -> QueueEntry:
        """What the wire needs to know."""
        return QueueEntry(
            id=self.id,
            task=self.new.task,
            queue=self.new.queue,
            priority=self.new.priority,
            attempt=self.attempt,
            timeout_s=self.new.timeout_s,
            created_at=self.created_at,
            fair_key=fair_key_of(self.new.limit_keys),
        )

    def to_standing(self) -> Standing:
        """What whoever waits needs to know."""
        return Standing(
            id=self.id,
            task=self.new.task,
            queue=self.new.queue,
            tags=self.new.tags,
            status=self.status,
            attempt=self.attempt,
            progress=self.progress,
        )

    def to_claimed(self) -> Claimed:
        """What the worker that claimed it needs to know."""
        new = self.new
        return Claimed(
            id=new.id,
            attempt=self.attempt,
            claim_token=self.claim_token,
            task=new.task,
            queue=new.queue,
            priority=new.priority,
            request=new.request,
            uncounted=self.uncounted,
            max_attempts=self.max_attempts,
            crashes=self.crashes,
            alone=self.alone,
            timeout_s=new.timeout_s,
            user_id=new.user_id,
            tags=new.tags,
            parent_id=new.parent_id,
            fingerprint=new.fingerprint,
            created_at=self.created_at,
            traceparent=new.traceparent,
        )

    def to_running(self) -> RunningAttempt:
        """What a worker compares with what it holds."""
        return RunningAttempt(
            id=self.id,
            attempt=self.attempt,
            claim_token=self.claim_token,
            uncounted=self.uncounted,
            max_attempts=self.max_attempts,
            crashes=self.crashes,
            alone=self.alone,
            cancel_requested=self.cancel_requested_at is not None,
        )

    def to_execution(self, *, attempts: tuple[Attempt, ...] = ()) -> Execution:
        """The row as readers see it."""
        new = self.new
        return Execution(
            id=new.id,
            task=new.task,
            status=self.status,
            queue=new.queue,
            priority=new.priority,
            request=_decoded(new.request),
            result=_decoded(self.result),
            error=ErrorRecord.from_json(_decoded(self.error)),
            attempt=self.attempt,
            uncounted=self.uncounted,
            max_attempts=self.max_attempts,
            crashes=self.crashes,
            timeout_s=new.timeout_s,
            progress=self.progress,
            tags=new.tags,
            user_id=new.user_id,
            unique_key=new.unique_key,
            parent_id=new.parent_id,
            rerun_of=new.rerun_of,
            worker_id=self.worker_id,
            cancel_requested_at=self.cancel_requested_at,
            run_at=self.run_at,
            created_at=self.created_at,
            queued_at=self.queued_at,
            started_at=self.started_at,
            finished_at=self.finished_at,
            expires_at=self.expires_at,
            reason=self.reason,
            attempts=attempts,
        )

    def to_full_execution(self) -> Execution:
        """The row with each attempt that is over, the success included."""
        attempts = [ended.attempt for ended in self.ended]
        if self.status is ExecutionStatus.SUCCEEDED:
            assert self.finished_at is not None
            success = Attempt(
                number=self.attempt,
                outcome=AttemptOutcome.SUCCEEDED,
                counted=True,
                worker_id=self.worker_id,
                started_at=self.started_at,
                finished_at=self.finished_at,
            )
            attempts.append(success)
        return self.to_execution(attempts=tuple(attempts))


class RowTable:
    """All rows, found by id, by status and by the unique key they hold.

    ``tally`` counts how they end.
    """

    def __init__(self) -> None:
        self.tally = Tally()
        self._rows: dict[str, Row] = {}
        self._by_status: dict[ExecutionStatus, dict[str, Row]] = {s: {} for s in ExecutionStatus}
        self._holders: dict[tuple[str, str], Row] = {}

    def get(self, execution_id: str) -> Row | None:
        """The row with this id."""
        return self._rows.get(execution_id)

    def in_status(self, *statuses: ExecutionStatus) -> Iterator[Row]:
        """The rows in any of these states, in no order."""
        for status in statuses:
            yield from self._by_status[status].values()

    def newest_first(self) -> list[Row]:
        """All rows by falling id, which is falling age: ids are UUIDv7."""
        return [self._rows[id_] for id_ in sorted(self._rows, reverse=True)]

    def holder(self, new: NewExecution) -> Row | None:
        """The unfinished row that holds this execution's unique key."""
        return None if new.unique_key is None else self._holders.get((new.task, new.unique_key))

    def add(self, row: Row) -> None:
        """Take in a new row; nobody may hold its unique key."""
        self._rows[row.id] = row
        self._by_status[row.status][row.id] = row
        self._hold_key(row)

    def expire(self, row: Row, *, now: datetime) -> QueueEntry:
        """Cancel a row that waited too long; its entry."""
        self.move(row, ExecutionStatus.CANCELLED)
        row.finished_at = now
        row.reason = EXPIRED
        self.tally.never_started(row, ending=Ending.EXPIRED, now=now)
        return row.to_entry()

    def remove(self, row: Row) -> None:
        """Forget a row that is finished, and so holds no key."""
        del self._rows[row.id]
        del self._by_status[row.status][row.id]

    def move(self, row: Row, status: ExecutionStatus) -> None:
        """Change a row's status; raises `IllegalTransition` where `MOVES` does not allow it."""
        if status not in MOVES[row.status]:
            raise IllegalTransition(f"{row.id} is {row.status}, which cannot become {status}")
        if row.status in TERMINAL:
            self._hold_key(row)
        del self._by_status[row.status][row.id]
        row.status = status
        self._by_status[status][row.id] = row
        if status in TERMINAL and row.new.unique_key is not None:
            del self._holders[(row.new.task, row.new.unique_key)]

    def _hold_key(self, row: Row) -> None:
        if row.new.unique_key is not None:
            self._holders[(row.new.task, row.new.unique_key)] = row


def _decoded(text: str | None) -> Any:
    return None if text is None else json.loads(text)
