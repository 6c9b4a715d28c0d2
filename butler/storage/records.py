"""The values that go into and come out of a `Storage`.

Ids are UUID text; requests and results are JSON text, because the codec has done its work before
a backend sees them. Times are aware; relative times are seconds from the ledger's own now.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from butler.executions import Execution, ExecutionStatus, Priority, Progress
from butler.record import record
from butler.scopes import EVERYTHING, Scope
from butler.storage.finding import ROWS_SCANNED

if TYPE_CHECKING:
    from datetime import datetime

    from butler.limiting import LimitKeys
    from butler.storage.limits import Wait


@record(frozen=True, slots=True, kw_only=True)
class NewExecution:
    """One execution to be inserted.

    It is queued when due, else scheduled. ``delay_s`` (from the ledger's now) and ``run_at`` are
    exclusive; both None means now. ``unpushed`` inserts it as scheduled for now although it is
    due: the producer knows that Redis is away, and the stager will push it. ``replace`` lets it
    take over the execution that holds its unique key, if that one still waits. ``traceparent``
    is the trace it was enqueued in, as W3C's header has it.
    """

    id: str
    task: str
    queue: str
    request: str | None
    priority: Priority = Priority.NORMAL
    max_attempts: int = 3
    delay_s: float | None = None
    run_at: datetime | None = None
    unpushed: bool = False
    expires_at: datetime | None = None
    timeout_s: float | None = None
    unique_key: str | None = None
    replace: bool = False
    user_id: str | None = None
    tags: tuple[str, ...] = ()
    parent_id: str | None = None
    rerun_of: str | None = None
    fingerprint: str | None = None
    traceparent: str | None = None
    limit_keys: LimitKeys | None = None


@record(frozen=True, slots=True, kw_only=True)
class Inserted:
    """What became of one `NewExecution`.

    ``id`` is the given one, or that of the unfinished execution that holds the unique key; then
    ``created`` is false and ``status`` is the holder's. ``replaced`` is true where that one waited
    and took over what was asked for. Then, if it was queued, ``left`` is the entry it had; and if
    it is queued now, ``entry`` is the one that needs a push.
    """

    id: str
    created: bool
    status: ExecutionStatus
    replaced: bool = False
    left: QueueEntry | None = None
    entry: QueueEntry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InsertedWithin:
    """What became of executions that were written in somebody else's transaction.

    ``transaction_id`` is what `Transactional.transaction_state` takes.
    """

    rows: tuple[Inserted, ...]
    transaction_id: str


@record(frozen=True, slots=True, kw_only=True)
class QueueEntry:
    """What the wire needs to know to put an execution on its queue.

    ``attempt`` is the last one that was claimed (0 at first): the wire refuses what is about one
    that is not newer. Executions of one ``fair_key`` take turns with those of another.
    """

    id: str
    task: str
    queue: str
    priority: Priority
    attempt: int
    timeout_s: float | None
    created_at: datetime
    fair_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A worker wants to run these ids; a claim that is repeated has the same ``token``.

    ``solo`` claims only executions that must run alone, anything else only the others.
    """

    worker_id: str
    token: str
    ids: tuple[str, ...]
    solo: bool = False


@record(frozen=True, slots=True, kw_only=True)
class Claimed:
    """One attempt that a worker owns now. Satisfies ``lifecycle.ClaimedAttempt``.

    ``slots`` names the limits of which it holds a slot.
    """

    id: str
    attempt: int
    claim_token: str
    task: str
    queue: str
    priority: Priority
    request: str | None
    uncounted: int
    max_attempts: int
    crashes: int
    alone: bool
    timeout_s: float | None
    user_id: str | None
    tags: tuple[str, ...]
    parent_id: str | None
    fingerprint: str | None
    created_at: datetime
    traceparent: str | None = None
    slots: tuple[str, ...] = ()

    @property
    def attempts_used(self) -> int:
        """Attempts that count, this one included."""
        return self.attempt - self.uncounted


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An id a claim did not win, and how its row stands: None where there is no such row.

    ``alone`` marks a queued execution that only a solo worker may claim. ``expired`` is set where
    this claim found that it was too late and cancelled it: what is to be taken off the wire.
    ``wait`` is set where a limit keeps a queued execution from starting.
    """

    id: str
    status: ExecutionStatus | None
    alone: bool
    expired: QueueEntry | None = None
    wait: Wait | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimReply:
    """What a claim won and what it did not; with ``worker_lost`` it won nothing, for ever."""

    won: tuple[Claimed, ...] = ()
    refused: tuple[Refused, ...] = ()
    worker_lost: bool = False


@record(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a row stands after a `Transition` was tried.

    ``applied`` is true when the ledger holds this attempt's end: written now, or by an earlier
    try whose acknowledgement was lost. False means that another attempt owns the row, or that it
    is gone (``status`` None): the attempt was given up and its outcome is worth nothing.
    ``status`` is the row's, and can be cancelled where the transition said otherwise. ``entry`` is
    there where a queue may have to hear of it: not of a row that is gone, and not of a success.
    ``rejected`` is the reason why the ledger refused the value itself and failed it alone.
    """

    id: str
    applied: bool
    status: ExecutionStatus | None
    entry: QueueEntry | None
    rejected: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """How an operator's cancel, retry or delete left one execution.

    ``changed`` is false where its state did not allow the move. ``worker_name`` is set while it
    runs: where a cancel must be carried to.
    """

    id: str
    changed: bool
    before: ExecutionStatus | None
    after: ExecutionStatus | None
    entry: QueueEntry | None = None
    worker_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How an execution stands, and no more: read for many at once by whoever waits for them."""

    id: str
    task: str
    queue: str
    tags: tuple[str, ...]
    status: ExecutionStatus
    attempt: int
    progress: Progress | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressReport:
    """The newest progress of one running attempt, fenced like everything it writes.

    ``record`` also keeps it as a row of history (up to the backend's cap per execution).
    """

    execution_id: str
    attempt: int
    claim_token: str
    percent: float
    message: str | None
    record: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionEvent:
    """One line of an execution's history."""

    execution_id: str
    attempt: int
    kind: str
    at: datetime
    percent: float | None
    message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionQuery:
    """Which executions to list, newest first; each filter that is given must hold.

    ``after`` is the ``next_cursor`` of the page before. ``limit`` is 1..1000. ``text`` is looked
    for in the error message, without regard to case. ``request`` holds places in the request and
    the scalars that must stand there, as JSON writes them. At most ``scan`` rows are held against
    filters that no index answers. ``with_request`` and ``with_result`` False leave those out, which
    may be large.
    """

    status: frozenset[ExecutionStatus] = frozenset()
    task: str | None = None
    queue: str | None = None
    tag: str | None = None
    user_id: str | None = None
    parent_id: str | None = None
    recurring_job_id: str | None = None
    unique_key: str | None = None
    text: str | None = None
    request: tuple[tuple[tuple[str, ...], str], ...] = ()
    created_after: datetime | None = None
    created_before: datetime | None = None
    started_after: datetime | None = None
    started_before: datetime | None = None
    finished_after: datetime | None = None
    finished_before: datetime | None = None
    within: Scope = EVERYTHING
    after: str | None = None
    limit: int = 100
    scan: int = ROWS_SCANNED
    with_request: bool = True
    with_result: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of executions; ``next_cursor`` is None on the last one.

    ``truncated`` is true where it ends because as many rows were looked at as may be, not because
    it is full: go on with the cursor.
    """

    executions: tuple[Execution, ...]
    next_cursor: str | None
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDefinition:
    """A task as a worker or producer announces it; schemas are JSON Schema of the codec's form."""

    name: str
    description: str = ""
    tags: tuple[str, ...] = ()
    request_schema: dict[str, Any] = field(default_factory=dict)
    result_schema: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    app: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRegistration:
    """One worker process; an id serves one process life and is never used again."""

    id: str
    name: str
    host: str
    pid: int
    supervisor_id: str
    queues: tuple[str, ...]
    tasks: tuple[str, ...]
    concurrency: int
    solo: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningAttempt:
    """A row that runs under a worker. Satisfies ``lifecycle.ClaimedAttempt``."""

    id: str
    attempt: int
    claim_token: str
    uncounted: int
    max_attempts: int
    crashes: int
    alone: bool
    cancel_requested: bool

    @property
    def attempts_used(self) -> int:
        """Attempts that count, this one included."""
        return self.attempt - self.uncounted


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatReply:
    """What the ledger says to one worker: whether it is lost, and what runs under its id."""

    worker_id: str
    lost: bool
    running: tuple[RunningAttempt, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPulse:
    """A registered worker and its counter, as the rescuer watches it."""

    id: str
    name: str
    counter: int
    lost: bool
    stopped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRow:
    """A worker as operators see it."""

    id: str
    name: str
    host: str
    pid: int
    queues: tuple[str, ...]
    tasks: tuple[str, ...]
    concurrency: int
    running: int
    lost: bool
    started_at: datetime
    heartbeat_at: datetime
    stopped_at: datetime | None

    @property
    def state(self) -> str:
        """``alive``, ``stopped`` in good order, or ``lost``."""
        if self.lost:
            return "lost"
        return "alive" if self.stopped_at is None else "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leadership:
    """Who leads, in which epoch, and the counter that shows it lives."""

    holder: str | None
    epoch: int
    counter: int
