"""Writing new executions.

The ids are the client's, so an insert whose reply was lost is repeated with the same ids until it
is known. An execution with a unique key is written only if its key is free; whoever holds it is
found under a new snapshot, and may be gone by then: so the losers try again, a few times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from butler.errors import EnqueueUnknown, InvalidOption, InvalidRequest, StorageUnavailable
from butler.executions import TERMINAL, ExecutionStatus
from butler.storage.postgres import literals
from butler.storage.postgres.connections import ReplyLost
from butler.storage.postgres.rows import STATUS
from butler.storage.records import Inserted
from butler.storage.values import check_insertable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from butler.storage.postgres.connections import PostgresConnections
    from butler.storage.records import NewExecution

_ROUNDS = 20


class PostgresInserts:
    """Inserts on one ledger."""

    def __init__(self, connections: PostgresConnections) -> None:
        self._connections = connections

    def insert(self, executions: Sequence[NewExecution]) -> list[Inserted]:
        """One reply each, in order; `EnqueueUnknown` when it could not be found out."""
        if not executions:
            return []
        for new in executions:
            _check_ids(new)
        try:
            return self._insert(executions)
        except ReplyLost as lost:
            raise EnqueueUnknown([new.id for new in executions]) from lost
        except Exception as error:
            _explain(error, executions)
            raise

    def _insert(self, executions: Sequence[NewExecution]) -> list[Inserted]:
        if len(executions) == 1 and _is_plain(executions[0]):
            id_ = executions[0].id
            if self._connections.run("insert_now", _one(executions[0]), hot=True):
                return [Inserted(id=id_, created=True, status=ExecutionStatus.QUEUED)]
            replies: dict[str, Inserted] = {}
        elif any(new.unique_key is not None for new in executions):
            replies = self._insert_unique(executions)
        else:
            columns = _columns(executions)
            replies = _created(self._connections.run("insert", columns, hot=True))
        self._add_known(executions, replies)
        return [replies[new.id] for new in executions]

    def _add_known(self, executions: Sequence[NewExecution], replies: dict[str, Inserted]) -> None:
        """Reply for ids that were there before: an earlier try wrote them."""
        rest = [new.id for new in executions if new.id not in replies]
        if rest:
            params = {"ids": literals.uuids(rest)}
            replies.update(_created(self._connections.run("insert_known", params)))
            gone = [id_ for id_ in rest if id_ not in replies]
            if gone:  # between the two statements: over, and deleted by an operator
                raise EnqueueUnknown(gone)

    def _insert_unique(self, executions: Sequence[NewExecution]) -> dict[str, Inserted]:
        replies: dict[str, Inserted] = {}
        left = list(executions)
        for _ in range(_ROUNDS):
            columns = _columns(left) | {"unique_keys": literals.texts([n.unique_key for n in left])}
            rows = self._connections.run("insert_unique", columns, hot=True)
            replies |= _created([row for row in rows if row[1] is not None])
            self._free([id_ for id_, status in rows if status is None])
            left = [new for new in left if new.id not in replies]
            if left:
                known = {"ids": literals.uuids([new.id for new in left])}
                replies |= _created(self._connections.run("insert_known", known))
                replies |= self._holders([new for new in left if new.id not in replies])
                left = [new for new in left if new.id not in replies]
            if not left:
                return replies
        held = left[0]
        raise StorageUnavailable(
            f"the unique key {held.unique_key!r} of {held.task!r} changed hands {_ROUNDS} times "
            "while it was asked for; nothing was changed for it, try again"
        )

    def _holders(self, losers: Sequence[NewExecution]) -> dict[str, Inserted]:
        """Replies for those whose key an unfinished execution holds."""
        keyed: dict[tuple[str, str], list[str]] = {
            (new.task, new.unique_key): [] for new in losers if new.unique_key is not None
        }
        if not keyed:
            return {}
        for new in losers:
            if new.unique_key is not None:
                keyed[new.task, new.unique_key].append(new.id)
        params = {
            "tasks": literals.texts([task for task, _ in keyed]),
            "keys": literals.texts([key for _, key in keyed]),
        }
        replies: dict[str, Inserted] = {}
        stale: list[str] = []
        for task, key, holder, status in self._connections.run("unique_holders", params):
            found = STATUS[status]
            if found is None or found in TERMINAL:
                stale.append(holder)
                continue
            reply = Inserted(id=holder, created=False, status=found)
            replies |= dict.fromkeys(keyed[task, key], reply)
        self._free(stale)
        return replies

    def _free(self, holders: Sequence[str]) -> None:
        if holders:
            self._connections.run("unique_free", {"ids": literals.uuids(holders)})


def _check_ids(new: NewExecution) -> None:
    for id_ in (new.id, new.parent_id, new.rerun_of):
        if id_ is not None and not literals.is_uuid(id_):
            raise InvalidOption(f"an execution id must be a canonical UUID, got {id_!r}")


def _created(rows: Sequence[tuple[Any, ...]]) -> dict[str, Inserted]:
    replies = {}
    for id_, status in rows:
        found = STATUS[status]
        assert found is not None
        replies[id_] = Inserted(id=id_, created=True, status=found)
    return replies


def _explain(error: BaseException, executions: Sequence[NewExecution]) -> None:
    """Raise what the caller can act on when the ledger refused a value."""
    from butler.storage.postgres.driver import data_refusal

    refusal = data_refusal(error)
    if refusal is None:
        return
    check_insertable(executions)
    raise InvalidRequest(f"the ledger cannot store what was enqueued: {refusal}") from error


def _is_plain(new: NewExecution) -> bool:
    """Whether insert_now.sql can write it."""
    return (
        new.unique_key is None and new.run_at is None and new.delay_s is None and not new.unpushed
    )


def _one(new: NewExecution) -> dict[str, Any]:
    return {
        "id": new.id,
        "task": new.task,
        "queue": new.queue,
        "priority": str(new.priority),
        "request": new.request,
        "max_attempts": str(new.max_attempts),
        "timeout_s": None if new.timeout_s is None else repr(new.timeout_s),
        "user_id": new.user_id,
        "tags": literals.texts(new.tags),
        "parent_id": new.parent_id,
        "rerun_of": new.rerun_of,
        "fingerprint": new.fingerprint,
    }


def _columns(executions: Sequence[NewExecution]) -> dict[str, str | None]:
    delays = [new.delay_s for new in executions]
    run_ats = [new.run_at for new in executions]
    timeouts = [new.timeout_s for new in executions]
    tags = any(new.tags for new in executions)
    return {
        "ids": literals.uuids([new.id for new in executions]),
        "tasks": literals.texts([new.task for new in executions]),
        "queues": literals.texts([new.queue for new in executions]),
        "priorities": literals.texts([new.priority for new in executions]),
        "requests": literals.texts([new.request for new in executions]),
        "max_attempts": literals.numbers([new.max_attempts for new in executions]),
        "delays_s": literals.numbers(delays) if any(delays) else None,
        "run_ats": literals.times(run_ats) if any(run_ats) else None,
        "unpushed": literals.flags([new.unpushed for new in executions]),
        "timeouts_s": literals.numbers(timeouts) if any(timeouts) else None,
        "user_ids": literals.optional([new.user_id for new in executions]),
        "tags": literals.texts([literals.texts(new.tags) for new in executions]) if tags else None,
        "parent_ids": literals.optional([new.parent_id for new in executions]),
        "reruns_of": literals.optional([new.rerun_of for new in executions]),
        "fingerprints": literals.optional([new.fingerprint for new in executions]),
    }
