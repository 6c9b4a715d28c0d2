"""From an order to a row on its queue: what is checked, then written, then pushed.

The row is committed before Redis hears of it, so an acknowledged enqueue survives whatever happens
next. The other way round an id could run before its row exists, and would be refused and lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from butler.errors import ButlerError, InvalidOption, TransactionRefused
from butler.executions import ExecutionStatus, Priority
from butler.ids import new_id
from butler.options import check_enqueue_options, check_unique_key, merge_tags
from butler.storage.base import MAX_BATCH, Transactional
from butler.storage.records import NewExecution, QueueEntry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from butler.clock import Clock
    from butler.codec import Codec
    from butler.joining import Placeholders
    from butler.options import TaskDefaults
    from butler.producing import Parent
    from butler.pushing import Pusher
    from butler.storage.base import Caller, Storage
    from butler.storage.records import Inserted, TaskDefinition
    from butler.task_spec import TaskSpec

MAX_CHUNK_CHARS = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a task says about its executions, wherever that was learned from.

    ``result`` is None for a task whose code is elsewhere: its results stay plain JSON values.
    """

    task: str
    queue: str
    priority: Priority
    max_attempts: int
    timeout_s: float | None
    tags: tuple[str, ...]
    fingerprint: str
    has_unique_key: bool
    result: Codec | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueued:
    """One execution after it was written; ``pushed`` by this call, ``replaced`` what it did."""

    id: str
    created: bool
    pushed: bool
    replaced: bool = False
    transaction_id: str | None = None


def plan_of_spec(spec: TaskSpec, defaults: TaskDefaults) -> Plan:
    """The plan of a task whose code is here."""
    options = spec.options
    return Plan(
        task=spec.name,
        queue=options.queue,
        priority=options.priority,
        max_attempts=options.max_attempts(defaults),
        timeout_s=options.time_limit_s(defaults),
        tags=options.tags,
        fingerprint=spec.fingerprint,
        has_unique_key=options.unique_key is not None,
        result=spec.result,
    )


def plan_of_definition(definition: TaskDefinition) -> Plan:
    """The plan of a task that is only known from the ledger."""
    options = definition.options
    return Plan(
        task=definition.name,
        queue=options["queue"],
        priority=Priority(options["priority"]),
        max_attempts=options["max_attempts"],
        timeout_s=options["timeout_s"],
        tags=definition.tags,
        fingerprint=definition.fingerprint,
        has_unique_key=bool(options.get("unique_key") or options.get("unique_key_is_computed")),
        result=None,
    )


def key_of_spec(spec: TaskSpec, request: Any) -> str | None:
    """The task's own unique key for a request, a validated one; None when it has none."""
    unique_key = spec.options.unique_key
    if callable(unique_key):
        key = unique_key(request)
        return None if key is None else check_unique_key(key)
    return unique_key


def key_of_definition(definition: TaskDefinition, given: Mapping[str, Any]) -> str | None:
    """The key where the code is elsewhere; raises `InvalidOption` where only code can tell it."""
    if definition.options.get("unique_key_is_computed") and given.get("unique_key") is None:
        raise InvalidOption(
            f"{definition.name} computes its unique_key from the request by code that is not "
            "registered here: pass unique_key=..., or register the task in this process"
        )
    key: str | None = definition.options.get("unique_key")
    return key


def new_execution(
    plan: Plan,
    request: str | None,
    *,
    unique_key: str | None,
    options: Mapping[str, Any],
    parent: Parent | None,
) -> NewExecution:
    """The row to write: the call's options over the task's; raises `InvalidOption`."""
    chosen = check_enqueue_options(options)
    user_id = chosen.get("user_id")
    replace = chosen.get("replace", False)
    unique_key = chosen.get("unique_key", unique_key)
    if replace and unique_key is None and not plan.has_unique_key:
        raise InvalidOption(
            f"replace needs a unique_key, and {plan.task} has none: it replaces what waits under it"
        )
    return NewExecution(
        id=new_id(),
        task=plan.task,
        queue=chosen.get("queue", plan.queue),
        request=request,
        priority=chosen.get("priority", plan.priority),
        max_attempts=chosen.get("max_attempts", plan.max_attempts),
        delay_s=chosen.get("delay_s"),
        run_at=chosen.get("run_at"),
        timeout_s=chosen.get("timeout_s", plan.timeout_s),
        expires_at=chosen.get("expires_at"),
        unique_key=unique_key,
        replace=replace,
        user_id=parent.user_id if parent and user_id is None else user_id,
        tags=merge_tags(plan.tags, chosen.get("tags", ())),
        parent_id=parent.execution_id if parent else None,
        fingerprint=plan.fingerprint,
    )


def write_and_push(
    executions: Sequence[NewExecution], *, storage: Storage, pusher: Pusher, clock: Clock
) -> list[Enqueued]:
    """Write in chunks, each atomic, and push each; one reply each, in order.

    An error after the first chunk carries a note saying how many executions are written.
    """
    written: list[Enqueued] = []
    for chunk in _chunks(executions):
        try:
            written += _write_chunk(chunk, storage=storage, pusher=pusher, clock=clock)
        except ButlerError as error:
            if written:
                error.add_note(f"the first {len(written)} of {len(executions)} are written")
            raise
    return written


def _write_chunk(
    chunk: Sequence[NewExecution], *, storage: Storage, pusher: Pusher, clock: Clock
) -> list[Enqueued]:
    if pusher.resting:
        inserted = storage.insert([_as_unpushed(execution) for execution in chunk])
        return [_enqueued(row, pushed=False) for row in inserted]
    inserted = storage.insert(chunk)
    now = clock.now()
    # First off the lists that replaced executions were on, then onto those where they belong now.
    pusher.forget([row.left for row in inserted if _has_moved(row) and row.left])
    fresh = {
        row.id: row.entry or _entry(execution, now=now)
        for execution, row in zip(chunk, inserted, strict=True)
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
    return row.created and row.status is ExecutionStatus.QUEUED


def _has_moved(row: Inserted) -> bool:
    """Whether a replaced execution that was on a list belongs on another one now, or on none."""
    if row.left is None:
        return False
    if row.entry is None:
        return True
    return (row.left.queue, row.left.priority) != (row.entry.queue, row.entry.priority)


def _as_unpushed(execution: NewExecution) -> NewExecution:
    return replace(execution, unpushed=True)


def _entry(execution: NewExecution, *, now: datetime) -> QueueEntry:
    return QueueEntry(
        id=execution.id,
        task=execution.task,
        queue=execution.queue,
        priority=execution.priority,
        attempt=0,
        timeout_s=execution.timeout_s,
        created_at=now,
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
