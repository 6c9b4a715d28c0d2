"""Operators' moves: cancel, retry, delete. Each is one statement for a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from butler.executions import ExecutionStatus
from butler.storage.postgres import literals, rows
from butler.storage.records import Moved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from butler.storage.postgres.connections import PostgresConnections
    from butler.storage.postgres.rows import Columns


class PostgresOperators:
    """Operators' moves on one ledger."""

    def __init__(self, connections: PostgresConnections) -> None:
        self._connections = connections

    def cancel(self, ids: Sequence[str], *, epoch: int | None = None) -> list[Moved]:
        """End what waits, ask what runs to end; with an ``epoch`` only while that leader leads."""
        return self._move("cancel", ids, epoch=None if epoch is None else str(epoch))

    def retry(self, ids: Sequence[str]) -> list[Moved]:
        """Open failed and cancelled executions again, unless their unique key is taken."""
        return self._move("retry", ids)

    def delete(self, ids: Sequence[str]) -> list[Moved]:
        """Remove finished executions with their history."""
        return self._move("delete", ids)

    def _move(self, statement: str, ids: Sequence[str], **more: str | None) -> list[Moved]:
        wanted = sorted({id_ for id_ in ids if literals.is_uuid(id_)})
        replies: dict[str, Moved] = {}
        if wanted:
            found = self._connections.run(statement, {"ids": literals.uuids(wanted), **more})
            replies = {row[0]: _moved(statement, row) for row in found}
        moved = []
        for id_ in ids:
            reply = replies.get(id_)
            if reply is None:
                reply = Moved(id=id_, changed=False, before=None, after=None)
            moved.append(reply)
            replies[id_] = _again(reply)
        return moved


def _moved(statement: str, row: Columns) -> Moved:
    """The columns of cancel, retry, delete: an entry, status before, after, a worker, fair key."""
    before, after, worker_name = row[7], row[8], row[9]
    if statement == "delete":
        changed = bool(after)
        after = None if changed else before
    else:
        changed = after is not None
        after = after if changed else before
    return Moved(
        id=row[0],
        changed=changed,
        before=rows.STATUS[before],
        after=rows.STATUS[after],
        entry=rows.entry(row, fair_key=row[10]),
        worker_name=worker_name,
    )


def _again(reply: Moved) -> Moved:
    """What the same id says the second time in one batch."""
    if reply.after is ExecutionStatus.RUNNING:  # asked to end, and asked again
        return reply
    return Moved(
        id=reply.id,
        changed=False,
        before=reply.after,
        after=reply.after,
        entry=None if reply.after is None else reply.entry,
    )
