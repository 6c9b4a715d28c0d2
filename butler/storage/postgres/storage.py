"""`PostgresStorage`: the ledger in PostgreSQL 14 or newer, also through PgBouncer.

This class is only the door; the rooms behind it are split by what makes them change:
``postgres_connections`` (pool, time limits, repeats), ``postgres_inserts``, ``postgres_attempts``
(the hot statements), ``postgres_operators``, ``postgres_workers``, ``postgres_leader`` and
``postgres_reads``. The statements are in ``sql/``, one a file. psycopg is imported when the first
statement is run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from butler.errors import InvalidOption, SchemaOutdated
from butler.storage.base import MAX_BATCH
from butler.storage.postgres.access import PostgresAccess
from butler.storage.postgres.attempts import PostgresAttempts
from butler.storage.postgres.connections import PostgresConnections
from butler.storage.postgres.due_listener import DueListener
from butler.storage.postgres.inserts import PostgresInserts
from butler.storage.postgres.leader import PostgresLeader
from butler.storage.postgres.limits import PostgresLimits
from butler.storage.postgres.logs import PostgresLogs
from butler.storage.postgres.monitoring import PostgresMonitoring
from butler.storage.postgres.operators import PostgresOperators
from butler.storage.postgres.pruning import PostgresPruning
from butler.storage.postgres.reads import PostgresReads
from butler.storage.postgres.recurring import PostgresRecurring
from butler.storage.postgres.stats import PostgresStats
from butler.storage.postgres.transactions import PostgresTransactions
from butler.storage.postgres.url import described
from butler.storage.postgres.workers import PostgresWorkers
from butler.storage.retention import Retention

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from butler.executions import Execution, ExecutionStatus
    from butler.lifecycle import Transition
    from butler.storage.base import Caller, Listening, TransactionState
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


class PostgresStorage(
    PostgresRecurring,
    PostgresPruning,
    PostgresLogs,
    PostgresAccess,
    PostgresStats,
    PostgresMonitoring,
    PostgresLimits,
):
    """A `Storage` in the given database, in tables of a schema of their own.

    ``command_timeout_s`` (> 0) is how long a call tries, reconnecting and repeating, before it
    raises `StorageUnavailable`. ``retention_days`` (> 0, or a `Retention`) is how long finished
    executions are kept.
    ``max_progress_updates`` caps the recorded progress of one execution. ``migrate="auto"`` makes
    ``prepare`` bring the schema up to date. ``pool_size`` is the most connections of this process.
    ``prepared_statements`` are used unless a pooler like PgBouncer is noticed; False is for one
    that is not. ``unique_wait_s`` (>= 0) is how long an enqueue waits for a unique key that an open
    transaction has written. ``direct_url`` leads to the same database past any pooler; there, or
    else at ``url``, the scheduler hears of transactional enqueues. ``notify=False`` turns that off
    on both sides.

    Nothing is connected or imported before the first call; a forked child connects anew.
    """

    def __init__(
        self,
        url: str,
        *,
        schema: str = "butler",
        command_timeout_s: float = 30,
        retention_days: float | Retention = 30,
        max_progress_updates: int = 100,
        migrate: Literal["never", "auto"] = "never",
        pool_size: int = 4,
        prepared_statements: bool = True,
        unique_wait_s: float = 2,
        direct_url: str | None = None,
        notify: bool = True,
    ) -> None:
        _check_positive("command_timeout_s", command_timeout_s)
        _check_positive("pool_size", pool_size)
        if migrate not in {"never", "auto"}:
            raise InvalidOption(f'migrate must be "never" or "auto", got {migrate!r}')
        if not unique_wait_s >= 0:
            raise InvalidOption(f"unique_wait_s must be >= 0, got {unique_wait_s!r}")
        self.retention = Retention.of(retention_days)
        self._direct_url = direct_url or url
        self._notify = notify
        self._migrate = migrate
        self._ledger_id: str | None = None
        self._is_prepared = False
        self._connections = PostgresConnections(
            url,
            schema=schema,
            timeout_s=command_timeout_s,
            size=pool_size,
            prepared_statements=prepared_statements,
        )
        self._inserts = PostgresInserts(self._connections, unique_wait_s=unique_wait_s)
        self._transactions = PostgresTransactions(
            self._connections, notify=notify, unique_wait_s=unique_wait_s
        )
        self._attempts = PostgresAttempts(
            self._connections, max_progress_updates=max_progress_updates
        )
        self._operators = PostgresOperators(self._connections)
        self._workers = PostgresWorkers(self._connections)
        self._leader = PostgresLeader(self._connections)
        self._reads = PostgresReads(self._connections)

    # Set-up

    def prepare(self) -> None:
        """Check the schema, or bring it up to date where ``migrate`` is "auto"."""
        from butler.storage.migrate import compare, migrate

        if self._is_prepared:
            return
        try:
            applied = self._connections.run("migrations")
        except SchemaOutdated:  # there is no table to look into
            applied = []
        status = compare((number, name, checksum) for number, name, checksum in applied)
        if status.pending and self._migrate == "auto":
            migrate(self._connections.url, schema=self._connections.schema)
        elif (problem := status.problem()) is not None:
            where = described(self._connections.url)
            raise SchemaOutdated(f"schema {self._connections.schema!r} of {where}: {problem}")
        if self._connections.run("small_tables", {"schema": self._connections.schema}):
            self._connections.give_up_preparing("tables so small that plans would not outlive them")
        self._is_prepared = True

    def close(self) -> None:
        """Give back connections; a later call would open new ones."""
        self._connections.close()

    def ledger_id(self) -> str:
        """The id that the first migration made."""
        if self._ledger_id is None:
            rows = self._connections.run("ledger_id")
            self._ledger_id = str(rows[0][0])
        return self._ledger_id

    # Producers

    def insert(self, executions: Sequence[NewExecution]) -> list[Inserted]:
        """Write executions durably; `InvalidRequest` or `InvalidOption` for what cannot be kept."""
        _check_batch(executions)
        return self._inserts.insert(executions)

    def insert_meanwhile(
        self, executions: Sequence[NewExecution], meanwhile: Callable[[], object]
    ) -> list[Inserted]:
        """`insert`, with a call made while Postgres is at it."""
        _check_batch(executions)
        return self._inserts.insert(executions, meanwhile=meanwhile)

    def insert_within(self, executions: Sequence[NewExecution], caller: Caller) -> InsertedWithin:
        """Write executions as scheduled, in the caller's own transaction."""
        _check_batch(executions)
        return self._transactions.insert_within(executions, caller)

    def transaction_state(self, transaction_id: str) -> TransactionState | None:
        """How a transaction stands that `insert_within` wrote in; None when that is forgotten."""
        return self._transactions.transaction_state(transaction_id)

    def statement(
        self, execution: NewExecution, *, placeholders: Literal["$1", "%s"]
    ) -> tuple[str, tuple[str | None, ...]]:
        """The statement that writes an execution as scheduled, for any driver to run."""
        return self._transactions.statement(execution, placeholders=placeholders)

    def get(self, execution_id: str) -> Execution | None:
        """One execution with its attempts."""
        return self._reads.get(execution_id)

    def get_many(self, ids: Sequence[str]) -> list[Execution]:
        """Those of these executions that exist, with their attempts."""
        _check_batch(ids)
        return self._reads.get_many(ids)

    def standings(self, ids: Sequence[str]) -> list[Standing]:
        """How those of these executions that exist stand."""
        _check_batch(ids)
        return self._reads.standings(ids)

    def find(self, query: ExecutionQuery) -> Page:
        """A page of executions, newest first."""
        return self._reads.find(query)

    def count(self, query: ExecutionQuery) -> dict[ExecutionStatus, int]:
        """How many executions match, by status."""
        return self._reads.count(query)

    def events(self, execution_id: str) -> list[ExecutionEvent]:
        """The recorded progress of an execution, oldest first."""
        return self._reads.events(execution_id)

    def register_tasks(self, definitions: Sequence[TaskDefinition]) -> None:
        """Insert or replace definitions by name."""
        self._reads.register_tasks(definitions)

    def task_definitions(self) -> list[TaskDefinition]:
        """Every known definition, by name."""
        return self._reads.task_definitions()

    # Operators

    def cancel(self, ids: Sequence[str]) -> list[Moved]:
        """End what waits, ask what runs to end."""
        _check_batch(ids)
        return self._operators.cancel(ids)

    def retry(self, ids: Sequence[str]) -> list[Moved]:
        """Open failed and cancelled executions again."""
        _check_batch(ids)
        return self._operators.retry(ids)

    def delete(self, ids: Sequence[str]) -> list[Moved]:
        """Remove finished executions with their history."""
        _check_batch(ids)
        return self._operators.delete(ids)

    # Workers

    def register_worker(self, worker: WorkerRegistration) -> None:
        """Add a worker, and make due what waits for one that knows one of its tasks."""
        self._workers.register(worker)

    def heartbeat(self, worker_ids: Sequence[str]) -> list[HeartbeatReply]:
        """Raise the counters of workers that live, and tell each how it stands."""
        return self._workers.heartbeat(worker_ids)

    def stop_worker(self, worker_id: str) -> None:
        """A worker ended in good order."""
        self._workers.stop(worker_id)

    def claim(self, claim: Claim) -> ClaimReply:
        """Start attempts for those ids that are queued and may be run by this worker."""
        _check_batch(claim.ids)
        return self._attempts.claim(claim)

    def finish(self, transitions: Sequence[Transition]) -> list[Finished]:
        """End attempts, each fenced by ``(id, attempt, claim token)``."""
        _check_batch(transitions)
        return self._attempts.finish(transitions)

    def report_progress(self, reports: Sequence[ProgressReport]) -> None:
        """Write the newest progress of running attempts; stale ones change nothing."""
        _check_batch(reports)
        self._attempts.report_progress(reports)

    def lose_worker(self, worker_id: str, *, counter: int | None = None) -> bool:
        """Mark a worker lost, for ever; with ``counter`` only if it still stands there."""
        return self._workers.lose(worker_id, counter=counter)

    def running(self, worker_id: str) -> list[RunningAttempt]:
        """What runs under a worker's id."""
        return self._workers.running(worker_id)

    def workers(self) -> list[WorkerRow]:
        """Workers that are alive, and those lost or stopped within the last hour."""
        return self._workers.workers()

    # Scheduler

    def leadership(self) -> Leadership:
        """Who leads now."""
        return self._leader.leadership()

    def take_leadership(self, holder: str, *, observed: Leadership) -> int | None:
        """Lead, if leadership still stands as ``observed``."""
        return self._leader.take(holder, observed=observed)

    def renew_leadership(self, holder: str, *, epoch: int) -> bool:
        """Raise the leader's counter; False when somebody else leads."""
        return self._leader.renew(holder, epoch=epoch)

    def resign_leadership(self, holder: str, *, epoch: int) -> None:
        """Leave the place empty."""
        self._leader.resign(holder, epoch=epoch)

    def stage(self, *, epoch: int, limit: int) -> list[QueueEntry]:
        """Move due scheduled and retrying executions to queued, oldest first."""
        return self._leader.stage(epoch=epoch, limit=limit)

    def expire(self, *, epoch: int, limit: int) -> list[QueueEntry]:
        """Cancel what waits and is past its ``expires_at``."""
        return self._leader.expire(epoch=epoch, limit=limit)

    def listen(self, wake: Callable[[], None]) -> Listening | None:
        """Call ``wake`` when a transaction brought executions; None where ``notify`` is off."""
        if not self._notify:
            return None

        def hear(due_at: datetime) -> None:
            self._leader.hear(due_at)
            wake()

        listener = DueListener(
            self._direct_url,
            schema=self._connections.schema,
            ledger_id=self.ledger_id(),
            place=self._transactions.ledger_place(),
            on_due=hear,
        )
        listener.start()
        return listener

    def next_due_in_s(self) -> float | None:
        """Seconds until the next scheduled or retrying execution is due (<= 0: now)."""
        return self._leader.next_due_in_s()

    def queued(
        self, *, min_age_s: float, after: tuple[datetime, str] | None, limit: int
    ) -> list[tuple[datetime, QueueEntry]]:
        """Executions queued for at least ``min_age_s``, in (queued_at, id) order after a cursor."""
        return self._leader.queued(min_age_s=min_age_s, after=after, limit=limit)

    def pulses(self) -> list[WorkerPulse]:
        """The counters of all workers but those that are over with nothing running."""
        return self._workers.pulses()


def _check_batch(items: Sequence[object]) -> None:
    if len(items) > MAX_BATCH:
        raise InvalidOption(f"a batch holds at most {MAX_BATCH} items, got {len(items)}")


def _check_positive(option: str, value: float) -> None:
    if not value > 0:
        raise InvalidOption(f"{option} must be > 0, got {value!r}")
