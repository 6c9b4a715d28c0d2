"""The `Storage` protocol: what Butler asks of a ledger.

A backend is a class with these methods; ``tests/conformance`` says what they must do, down to
each race. They block, are safe to call from many threads, and raise `StorageUnavailable` when the
ledger cannot be reached. Batches hold at most `MAX_BATCH` items and are atomic each: all items
are decided in one transaction, and an item that is not allowed is reported, never raised.

The methods come in the order of an execution's life: set-up, producer, operator, worker,
scheduler. Methods that take an ``epoch`` change nothing and return nothing when the caller no
longer leads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from butler.storage.access import AccessStorage
from butler.storage.families import FamilyStorage
from butler.storage.limits import LimitStorage
from butler.storage.logs import LogStorage
from butler.storage.monitoring import MonitoringStorage
from butler.storage.pruning import PrunableStorage
from butler.storage.recurring import RecurringStorage
from butler.storage.stats import StatsStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from butler.executions import Execution, ExecutionStatus
    from butler.lifecycle import Transition
    from butler.storage.records import (
        Claim,
        ClaimReply,
        ExecutionEvent,
        ExecutionQuery,
        Finished,
        HeartbeatReply,
        Inserted,
        InsertedWithin,
        Leadership,
        Moved,
        NewExecution,
        Page,
        ProgressReport,
        QueueEntry,
        RunningAttempt,
        Standing,
        TaskDefinition,
        WorkerPulse,
        WorkerRegistration,
        WorkerRow,
    )

MAX_BATCH = 1_000

TransactionState = Literal["open", "committed", "rolled back"]


class Listening(Protocol):
    """What `Storage.listen` started."""

    def close(self) -> None:
        """Stop; closing twice is fine."""
        ...


@runtime_checkable
class Storage(
    RecurringStorage,
    PrunableStorage,
    LogStorage,
    FamilyStorage,
    AccessStorage,
    StatsStorage,
    MonitoringStorage,
    LimitStorage,
    Protocol,
):
    """A ledger of executions."""

    # Set-up

    def prepare(self) -> None:
        """Make the ledger usable, migrating it where that is asked for.

        Raises `SchemaOutdated`, naming the command to run, when the schema is not one this
        release can work on. Cheap when called again.
        """
        ...

    def close(self) -> None:
        """Give back connections; closing twice is fine."""
        ...

    def ledger_id(self) -> str:
        """The id this ledger was given when it was made; queues carry it."""
        ...

    # Producers

    def insert(self, executions: Sequence[NewExecution]) -> list[Inserted]:
        """Write executions durably; one reply each, in order.

        Safe to repeat with the same ids. Raises `UniqueKeyBusy` when a unique key is written by a
        transaction that stays open, and `EnqueueUnknown` when the ledger vanished during the
        commit and could not be asked again.
        """
        ...

    def get(self, execution_id: str) -> Execution | None:
        """One execution with its attempts; None when there is none."""
        ...

    def get_many(self, ids: Sequence[str]) -> list[Execution]:
        """Those of these executions that exist, with their attempts, in any order."""
        ...

    def standings(self, ids: Sequence[str]) -> list[Standing]:
        """How those of these executions that exist stand, in any order; cheap."""
        ...

    def find(self, query: ExecutionQuery) -> Page:
        """A page of executions, newest first, without their attempts."""
        ...

    def count(self, query: ExecutionQuery) -> dict[ExecutionStatus, int]:
        """How many executions match, by status; ``after`` and ``limit`` are not used."""
        ...

    def events(self, execution_id: str) -> list[ExecutionEvent]:
        """The recorded progress of an execution, oldest first."""
        ...

    def register_tasks(self, definitions: Sequence[TaskDefinition]) -> None:
        """Insert or replace definitions by name."""
        ...

    def task_definitions(self) -> list[TaskDefinition]:
        """Every known definition, by name."""
        ...

    # Operators

    def cancel(self, ids: Sequence[str]) -> list[Moved]:
        """End what waits, ask what runs to end; in one statement, so that no claim slips between.

        A running execution keeps its status and gets ``cancel_requested_at``; for it ``after`` is
        running and ``changed`` true.
        """
        ...

    def retry(self, ids: Sequence[str]) -> list[Moved]:
        """Open failed and cancelled executions again: queued, one more attempt allowed."""
        ...

    def delete(self, ids: Sequence[str]) -> list[Moved]:
        """Remove finished executions with their history."""
        ...

    # Workers

    def register_worker(self, worker: WorkerRegistration) -> None:
        """Add a worker. Releases what waits for a worker that knows one of its tasks."""
        ...

    def heartbeat(self, worker_ids: Sequence[str]) -> list[HeartbeatReply]:
        """Raise the counters of workers that live, and tell each how it stands."""
        ...

    def stop_worker(self, worker_id: str) -> None:
        """A worker ended in good order, with nothing left running."""
        ...

    def claim(self, claim: Claim) -> ClaimReply:
        """Start attempts for those ids that are queued and may be run by this worker.

        Repeating a claim with its token returns what it already won. What is past its
        ``expires_at`` is not won but cancelled, and so refused.
        """
        ...

    def finish(self, transitions: Sequence[Transition]) -> list[Finished]:
        """End attempts, each fenced by ``(id, attempt, claim token)``; one reply each, in order.

        A transition whose values the ledger refuses is failed alone, with the reason; it never
        takes its batch with it.
        """
        ...

    def report_progress(self, reports: Sequence[ProgressReport]) -> None:
        """Write the newest progress of running attempts; stale ones change nothing."""
        ...

    def lose_worker(self, worker_id: str, *, counter: int | None = None) -> bool:
        """Mark a worker lost, for ever; with ``counter`` only if it still stands there.

        True when it is lost after the call. No claim of that worker can follow.
        """
        ...

    def running(self, worker_id: str) -> list[RunningAttempt]:
        """What runs under a worker's id."""
        ...

    def workers(self) -> list[WorkerRow]:
        """Workers that are alive, and those lost or stopped within the last hour."""
        ...

    # Scheduler

    def leadership(self) -> Leadership:
        """Who leads now."""
        ...

    def take_leadership(self, holder: str, *, observed: Leadership) -> int | None:
        """Lead, if leadership still stands as ``observed``; returns the new epoch or None."""
        ...

    def renew_leadership(self, holder: str, *, epoch: int) -> bool:
        """Raise the leader's counter; False when somebody else leads."""
        ...

    def resign_leadership(self, holder: str, *, epoch: int) -> None:
        """Leave the place empty, so that another scheduler takes it at once."""
        ...

    def stage(self, *, epoch: int, limit: int) -> list[QueueEntry]:
        """Move due scheduled and retrying executions to queued, oldest first; they need a push."""
        ...

    def expire(self, *, epoch: int, limit: int) -> list[QueueEntry]:
        """Cancel what waits and is past its ``expires_at``; to be taken off the wire."""
        ...

    def listen(self, wake: Callable[[], None]) -> Listening | None:
        """Call ``wake``, from a thread, when a transaction brought executions that may be due.

        None where that cannot be heard: then only looking finds them.
        """
        ...

    def next_due_in_s(self) -> float | None:
        """Seconds until the next scheduled or retrying execution is due (<= 0: now)."""
        ...

    def queued(
        self, *, min_age_s: float, after: tuple[datetime, str] | None, limit: int
    ) -> list[tuple[datetime, QueueEntry]]:
        """Executions queued for at least ``min_age_s``, in (queued_at, id) order after a cursor."""
        ...

    def pulses(self) -> list[WorkerPulse]:
        """The counters of all workers that are not stopped and not lost with nothing running."""
        ...


@runtime_checkable
class Transactional(Protocol):
    """What a ledger in a database can do besides: write within its users' own transactions."""

    def insert_within(self, executions: Sequence[NewExecution], caller: Caller) -> InsertedWithin:
        """Write executions as scheduled, in the transaction that ``caller`` speaks in.

        Atomic also there: an error has undone all of it and nothing else. Raises `UniqueKeyBusy`,
        and `TransactionRefused` for a transaction that is not on this ledger.
        """
        ...

    def transaction_state(self, transaction_id: str) -> TransactionState | None:
        """How a transaction stands that `insert_within` wrote in; None when that is forgotten."""
        ...

    def statement(
        self, execution: NewExecution, *, placeholders: Literal["$1", "%s"]
    ) -> tuple[str, tuple[str | None, ...]]:
        """The statement that writes an execution as scheduled, for any driver to run."""
        ...


@runtime_checkable
class Overlapping(Protocol):
    """What a ledger in another process can do besides: leave its caller the time it takes."""

    def insert_meanwhile(
        self, executions: Sequence[NewExecution], meanwhile: Callable[[], object]
    ) -> list[Inserted]:
        """`Storage.insert`, with a call made while that is being committed.

        ``meanwhile`` is called once at most, before anybody knows what becomes of the rows, and
        raises nothing. Where there is nothing to wait for, it is not called.
        """
        ...


class Caller(Protocol):
    """Somebody's connection, in the transaction that is open there; ``raw`` is the driver's own."""

    @property
    def raw(self) -> Any:
        """What is the same object as long as it is the same session."""
        ...

    def ask(self, statement: str, params: tuple[str | None, ...]) -> str | None:
        """Run a statement with ``%s`` placeholders; its only value, None without a row."""
        ...
