"""Executions are written, then pushed.

The row is committed before Redis hears of it, so an acknowledged enqueue survives whatever happens
next. The other way round an id could run before its row exists, and would be refused and lost.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, TypeGuard

from butler.errors import ButlerError, InvalidOption, TransactionRefused
from butler.executions import ExecutionStatus
from butler.limiting import fair_key_of
from butler.record import record
from butler.storage.base import MAX_BATCH, Overlapping, Transactional
from butler.storage.records import QueueEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from butler.clock import Clock
    from butler.joining import Placeholders
    from butler.pushing import Pusher
    from butler.storage.base import Caller, Storage
    from butler.storage.records import Inserted, NewExecution

MAX_CHUNK_CHARS = 8 * 1024 * 1024


@record(frozen=True, slots=True, kw_only=True)
class Enqueued:
    """One execution after it was written; ``pushed`` by this call, ``replaced`` what it did."""

    id: str
    created: bool
    pushed: bool
    replaced: bool = False
    transaction_id: str | None = None


def write_and_push(
    executions: Sequence[NewExecution], *, storage: Storage, pusher: Pusher, clock: Clock
) -> list[Enqueued]:
    """Write in chunks, each atomic, and push each; one reply each, in order.

    Of many chunks one is written while the one before it is pushed, and Redis' answer to that is
    read before the next push. An error after the first chunk carries a note saying how many
    executions are written.
    """
    if len(executions) == 1 and not pusher.resting:
        return [_write_one(executions[0], storage=storage, pusher=pusher, clock=clock)]
    written: list[_Chunk] = []
    push_last: Callable[[], None] = _nothing
    for each in _chunks(executions):
        chunk = _Chunk(each, pusher=pusher, clock=clock)
        try:
            chunk.write(storage, meanwhile=push_last)
        except ButlerError as error:
            if written:
                count = sum(len(before.executions) for before in written)
                error.add_note(f"the first {count} of {len(executions)} are written")
            raise
        finally:
            push_last()
        written.append(chunk)
        push_last = chunk.push
    push_last()
    answered = pusher.settle()
    for chunk in reversed(written):
        answered = chunk.answer(next_one_is=answered)
    return [enqueued for chunk in written for enqueued in chunk.replies]


def _nothing() -> None:
    pass


def _write_one(
    execution: NewExecution, *, storage: Storage, pusher: Pusher, clock: Clock
) -> Enqueued:
    """The push is made ready while the row is committed, and sent when it is."""
    push: Callable[[], bool] | None = None

    def prepare() -> None:
        nonlocal push
        push = pusher.prepare(_entry(execution, now=clock.now()))

    (row,) = _insert([execution], storage, meanwhile=prepare)
    if push is not None and _is_new(row):
        return _enqueued(row, pushed=push())
    return _push([execution], [row], pusher=pusher, clock=clock)[0]


def _insert(
    executions: Sequence[NewExecution], storage: Storage, *, meanwhile: Callable[[], object]
) -> Sequence[Inserted]:
    if _overlaps(storage):
        return storage.insert_meanwhile(executions, meanwhile)
    return storage.insert(executions)


def _overlaps(storage: Storage) -> TypeGuard[Overlapping]:
    return _is_overlapping(type(storage))


@cache
def _is_overlapping(kind: type) -> bool:
    return issubclass(kind, Overlapping)


class _Chunk:
    """Executions that are written in one statement, then pushed while the next one is at it."""

    def __init__(self, executions: Sequence[NewExecution], *, pusher: Pusher, clock: Clock) -> None:
        self.executions = executions
        self.replies: list[Enqueued] = []
        self._pusher = pusher
        self._clock = clock
        self._inserted: Sequence[Inserted] = ()

    def write(self, storage: Storage, *, meanwhile: Callable[[], object]) -> None:
        """Write them, as unpushed where Redis is left alone."""
        executions = self.executions
        if self._pusher.resting:
            executions = [replace(execution, unpushed=True) for execution in executions]
        self._inserted = _insert(executions, storage, meanwhile=meanwhile)

    def push(self) -> None:
        """Send what has to be pushed; doing it again changes nothing."""
        if not self.replies:
            self.replies = _push(
                self.executions, self._inserted, pusher=self._pusher, clock=self._clock
            )

    def answer(self, *, next_one_is: bool) -> bool:
        """Whether Redis took this push; the next one, which waited for that, says how it went."""
        if not any(map(_needs_push, self._inserted)):
            return next_one_is
        sent = any(reply.pushed for reply in self.replies)
        if sent and not next_one_is:
            self.replies = [replace(reply, pushed=False) for reply in self.replies]
        return sent


def _push(
    executions: Sequence[NewExecution],
    inserted: Sequence[Inserted],
    *,
    pusher: Pusher,
    clock: Clock,
) -> list[Enqueued]:
    now = clock.now()
    # First off the lists that replaced executions were on, then onto those where they belong now.
    pusher.forget([row.left for row in inserted if _has_moved(row) and row.left])
    fresh = {
        row.id: row.entry or _entry(execution, now=now)
        for execution, row in zip(executions, inserted, strict=True)
        if _needs_push(row)
    }
    pushed = pusher.push(list(fresh.values()))
    return [_enqueued(row, pushed=pushed and row.id in fresh) for row in inserted]


def write_within(
    executions: Sequence[NewExecution], *, storage: Storage, caller: Caller
) -> list[Enqueued]:
    """Write in somebody's own transaction; the scheduler pushes when that is committed.

    An error has undone its chunk of up to 1,000, and left the transaction usable.
    """
    ledger = _transactional(storage)
    written: list[Enqueued] = []
    for chunk in _chunks(executions):
        try:
            reply = ledger.insert_within(chunk, caller)
        except ButlerError as error:
            if written:
                error.add_note(
                    f"the first {len(written)} of {len(executions)} are written, "
                    "and will be there if you commit"
                )
            raise
        written += [
            _enqueued(row, pushed=False, transaction_id=reply.transaction_id) for row in reply.rows
        ]
    return written


def statement_of(
    execution: NewExecution, *, storage: Storage, placeholders: Placeholders
) -> tuple[str, tuple[str | None, ...]]:
    """The statement that writes it, for any driver; raises `InvalidOption`."""
    if placeholders not in ("$1", "%s"):
        raise InvalidOption(f'placeholders must be "$1" or "%s", got {placeholders!r}')
    return _transactional(storage).statement(execution, placeholders=placeholders)


def _transactional(storage: Storage) -> Transactional:
    if isinstance(storage, Transactional):
        return storage
    raise TransactionRefused(
        f"{type(storage).__name__} keeps no ledger in a database, so nothing can commit with your "
        "data; leave transaction= out here"
    )


def _enqueued(row: Inserted, *, pushed: bool, transaction_id: str | None = None) -> Enqueued:
    return Enqueued(
        id=row.id,
        created=row.created,
        pushed=pushed,
        replaced=row.replaced,
        transaction_id=transaction_id,
    )


def _needs_push(row: Inserted) -> bool:
    if row.replaced:
        return row.entry is not None and (row.left is None or _has_moved(row))
    return _is_new(row)


def _is_new(row: Inserted) -> bool:
    return row.created and row.status is ExecutionStatus.QUEUED and not row.replaced


def _has_moved(row: Inserted) -> bool:
    """Whether a replaced execution that was on a list belongs on another one now, or on none."""
    if row.left is None:
        return False
    if row.entry is None:
        return True
    left, entry = row.left, row.entry
    before = left.queue, left.priority, left.fair_key
    return before != (entry.queue, entry.priority, entry.fair_key)


def _entry(execution: NewExecution, *, now: datetime) -> QueueEntry:
    return QueueEntry(
        id=execution.id,
        task=execution.task,
        queue=execution.queue,
        priority=execution.priority,
        attempt=0,
        timeout_s=execution.timeout_s,
        created_at=now,
        fair_key=fair_key_of(execution.limit_keys),
    )


def _chunks(executions: Sequence[NewExecution]) -> Iterator[list[NewExecution]]:
    """At most `MAX_BATCH` rows and about `MAX_CHUNK_CHARS` of requests each."""
    chunk: list[NewExecution] = []
    chars = 0
    for execution in executions:
        size = len(execution.request or "")
        if chunk and (len(chunk) == MAX_BATCH or chars + size > MAX_CHUNK_CHARS):
            yield chunk
            chunk, chars = [], 0
        chunk.append(execution)
        chars += size
    if chunk:
        yield chunk
