"""`Operator`: looking at executions, and steering them.

Each step changes the ledger first and tells Redis afterwards. When Redis does not answer the step
still counts: the scheduler and the workers' heartbeats find it in the ledger.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, Unpack

from butler.blocking import warn_if_loop_blocked
from butler.errors import ExecutionNotFound, IllegalTransition, RecurringJobNotFound
from butler.executions import ExecutionStatus
from butler.handles import Handle
from butler.ids import is_id, new_id
from butler.lifecycle import RETRYABLE
from butler.listing import execution_query
from butler.storage.base import MAX_BATCH
from butler.storage.records import Moved, NewExecution

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from butler.clock import Clock
    from butler.executions import Execution
    from butler.listening import Listener
    from butler.listing import ListFilters
    from butler.pushing import Pusher
    from butler.steering import Limits
    from butler.storage.base import Storage
    from butler.storage.logs import LogLine
    from butler.storage.records import ExecutionQuery, Page, QueueEntry
    from butler.trees import ExecutionTree

T = TypeVar("T")

# Inside the class ``list`` is a method.
Moves: TypeAlias = list[Moved]
Lines: TypeAlias = "list[LogLine]"


class Operator(ABC):
    """What an operator can do with executions, by their ids."""

    @property
    @abstractmethod
    def storage(self) -> Storage:
        """The ledger, ready to be used."""

    @property
    @abstractmethod
    def pusher(self) -> Pusher:
        """The way to Redis that never blocks for long."""

    @property
    @abstractmethod
    def listener(self) -> Listener:
        """Hears for whoever waits."""

    @property
    @abstractmethod
    def clock(self) -> Clock:
        """What time it is."""

    @property
    @abstractmethod
    def limits(self) -> Limits:
        """What keeps executions from starting."""

    @abstractmethod
    async def in_thread(self, call: Callable[[], T]) -> T:
        """Make a blocking call in one of the few threads kept for coroutines."""

    @abstractmethod
    def _place_again(self, execution: NewExecution) -> Handle[Any]:
        """Write and push one execution that was made here."""

    @abstractmethod
    def _fingerprint_of(self, task: str) -> str | None:
        """Of the task's schema as it is known now; None when the task is not."""

    def handle(self, execution_id: str) -> Handle[Any]:
        """The handle of an execution by its id; nothing is looked up.

        Its result is a plain JSON value; ``task.handle(id)`` gives a typed one.
        """
        return Handle(self, execution_id)

    def get(self, execution_id: str) -> Execution | None:
        """An execution with its attempts; None when the ledger has none with this id."""
        warn_if_loop_blocked("butler.get()", awaited="await butler.aio.get(...)")
        return self.storage.get(execution_id) if _may_be_id(execution_id) else None

    def get_or_raise(self, execution_id: str) -> Execution:
        """`get`, but raises `ExecutionNotFound`."""
        warn_if_loop_blocked("butler.get_or_raise()", awaited="await butler.aio.get_or_raise(...)")
        execution = self.get(execution_id)
        if execution is None:
            raise ExecutionNotFound(execution_id)
        return execution

    def list(self, **filters: Unpack[ListFilters]) -> Page:
        """A page of executions, newest first, without their attempts; see `ListFilters`.

        Some filters are held against one execution after the other. Where that takes too long the
        page ends early and is ``truncated``: go on with its cursor. Raises `InvalidOption`, and
        `RecurringJobNotFound`.
        """
        warn_if_loop_blocked("butler.list()", awaited="await butler.aio.list(...)")
        return self.storage.find(self.query(**filters))

    def query(self, **filters: Unpack[ListFilters]) -> ExecutionQuery:
        """What `list` asks the ledger; raises what it does."""
        job = filters.pop("recurring_job", None)
        if job is None:
            return execution_query(**filters)
        found = self.storage.get_recurring(ids=[job] if is_id(job) else [], names=[job])
        if not found:
            raise RecurringJobNotFound(job)
        return execution_query(recurring_job_id=found[0].id, **filters)

    def logs(self, execution_id: str, *, after: int | None = None, limit: int = 1_000) -> Lines:
        """What an execution has logged, oldest first; empty where there is no such execution.

        At most ``limit`` (1..10,000) lines, those behind the line whose ``id`` is ``after``: the
        last one of the page before. Raises `InvalidOption`.
        """
        warn_if_loop_blocked("butler.logs()", awaited="await butler.aio.logs(...)")
        return self.storage.logs(execution_id, after=after, limit=limit)

    def children(self, execution_id: str, *, cursor: str | None = None, limit: int = 100) -> Page:
        """A page of the executions that an execution has enqueued, newest first; as `list`."""
        warn_if_loop_blocked("butler.children()", awaited="await butler.aio.children(...)")
        return self.list(parent_id=execution_id, cursor=cursor, limit=limit)

    def tree(self, execution_id: str, *, depth: int = 10, size: int = 1_000) -> ExecutionTree:
        """How an execution and all that came of it stand: its children, theirs, and so on.

        At most ``depth`` (1..100) generations and ``size`` (1..1,000) executions. Raises
        `ExecutionNotFound` and `InvalidOption`.
        """
        from butler.trees import read_tree

        warn_if_loop_blocked("butler.tree()", awaited="await butler.aio.tree(...)")
        return read_tree(self.storage, execution_id, depth=depth, size=size)

    def cancel(self, execution_id: str) -> bool:
        """End an execution that waits, ask one that runs to end.

        True when it is cancelled now or was asked to end; False when it was already over. Raises
        `ExecutionNotFound`.
        """
        warn_if_loop_blocked("butler.cancel()", awaited="await butler.aio.cancel(...)")
        return _found(execution_id, self.cancel_many([execution_id])).changed

    def cancel_many(self, execution_ids: Iterable[str]) -> Moves:
        """`cancel` for several: how each was left, in order; never raises for one of them."""
        warn_if_loop_blocked("butler.cancel_many()", awaited="await butler.aio.cancel_many(...)")
        # Made first: a new process loads drivers for it, half a second in which tasks went on that
        # are cancelled already.
        pusher = self.pusher
        moves = self._move(execution_ids, self.storage.cancel)
        pusher.withdraw(_entries(moves, after=ExecutionStatus.CANCELLED))
        for move in moves:
            if move.changed and move.worker_name and move.after is ExecutionStatus.RUNNING:
                pusher.request_stop(move.id, move.worker_name)
        return moves

    def retry(self, execution_id: str) -> Handle[Any]:
        """Open a failed or cancelled execution again: same id, queued, one more attempt allowed.

        Raises `ExecutionNotFound`, and `IllegalTransition` for any other state.
        """
        warn_if_loop_blocked("butler.retry()", awaited="await butler.aio.retry(...)")
        move = _found(execution_id, self.retry_many([execution_id]))
        if not move.changed:
            raise IllegalTransition(_why_not_retried(move))
        return self.handle(execution_id)

    def retry_many(self, execution_ids: Iterable[str]) -> Moves:
        """`retry` for several: how each was left, in order; never raises for one of them."""
        warn_if_loop_blocked("butler.retry_many()", awaited="await butler.aio.retry_many(...)")
        moves = self._move(execution_ids, self.storage.retry)
        self.pusher.push(_entries(moves, after=ExecutionStatus.QUEUED))
        return moves

    def rerun(self, execution_id: str) -> Handle[Any]:
        """A new execution of the same request under the same options, for now; any state will do.

        Its ``rerun_of`` is the old one's id. A unique key is kept: when an unfinished execution
        holds it the handle is of that one, with ``created`` false. Raises `ExecutionNotFound`.
        """
        warn_if_loop_blocked("butler.rerun()", awaited="await butler.aio.rerun(...)")
        old = self.get_or_raise(execution_id)
        return self._place_again(
            NewExecution(
                id=new_id(),
                task=old.task,
                queue=old.queue,
                request=None if old.request is None else json.dumps(old.request),
                priority=old.priority,
                max_attempts=old.max_attempts,
                timeout_s=old.timeout_s,
                unique_key=old.unique_key,
                user_id=old.user_id,
                tags=old.tags,
                parent_id=old.parent_id,
                rerun_of=old.id,
                fingerprint=self._fingerprint_of(old.task),
            )
        )

    def delete(self, execution_id: str) -> None:
        """Remove a finished execution and its history.

        Raises `ExecutionNotFound`, and `IllegalTransition` while it is not over.
        """
        warn_if_loop_blocked("butler.delete()", awaited="await butler.aio.delete(...)")
        move = _found(execution_id, self.delete_many([execution_id]))
        if not move.changed:
            raise IllegalTransition(
                f"only a finished execution can be deleted, {execution_id} is {move.before}; "
                "cancel it first"
            )

    def delete_many(self, execution_ids: Iterable[str]) -> Moves:
        """`delete` for several: how each was left, in order; never raises for one of them."""
        warn_if_loop_blocked("butler.delete_many()", awaited="await butler.aio.delete_many(...)")
        moves = self._move(execution_ids, self.storage.delete)
        self.pusher.forget(_entries(moves, after=None))
        return moves

    def _move(
        self, execution_ids: Iterable[str], step: Callable[[Sequence[str]], Sequence[Moved]]
    ) -> Moves:
        ids = [str(execution_id) for execution_id in execution_ids]
        known = [execution_id for execution_id in dict.fromkeys(ids) if is_id(execution_id)]
        moved: dict[str, Moved] = {}
        for first in range(0, len(known), MAX_BATCH):
            batch = known[first : first + MAX_BATCH]
            moved.update((move.id, move) for move in step(batch))
        return [moved.get(execution_id, _absent(execution_id)) for execution_id in ids]


def _may_be_id(execution_id: object) -> bool:
    return isinstance(execution_id, str) and is_id(execution_id)


def _absent(execution_id: str) -> Moved:
    return Moved(id=execution_id, changed=False, before=None, after=None)


def _found(execution_id: str, moves: Sequence[Moved]) -> Moved:
    if moves[0].before is None:
        raise ExecutionNotFound(execution_id)
    return moves[0]


def _entries(moves: Iterable[Moved], *, after: ExecutionStatus | None) -> Sequence[QueueEntry]:
    return [move.entry for move in moves if move.changed and move.after is after and move.entry]


def _why_not_retried(move: Moved) -> str:
    if move.before in RETRYABLE:
        return f"{move.id} cannot be retried: another execution holds its unique key now"
    return (
        f"only a failed or cancelled execution can be retried, {move.id} is {move.before}; "
        "rerun() makes a new execution of any"
    )
