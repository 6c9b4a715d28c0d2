"""Writing new executions.

The ids are the client's, so an insert whose reply was lost is repeated with the same ids until it
is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from butler.errors import EnqueueUnknown, InvalidOption, InvalidRequest
from butler.executions import ExecutionStatus
from butler.storage.postgres import literals, rows
from butler.storage.postgres.columns import alike_rows, are_alike, many_rows, one_row
from butler.storage.postgres.connections import ReplyLost
from butler.storage.postgres.unique_inserts import UniqueInserts
from butler.storage.records import Inserted
from butler.storage.values import check_insertable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from butler.storage.postgres.connections import PostgresConnections
    from butler.storage.records import NewExecution


class PostgresInserts:
    """Inserts on one ledger."""

    def __init__(self, connections: PostgresConnections, *, unique_wait_s: float) -> None:
        self._connections = connections
        self._unique = UniqueInserts(connections, wait_s=unique_wait_s)

    def insert(
        self,
        executions: Sequence[NewExecution],
        *,
        meanwhile: Callable[[], object] | None = None,
    ) -> list[Inserted]:
        """One reply each, in order; `EnqueueUnknown` when it could not be found out.

        ``meanwhile`` is called once, when they have been sent to Postgres.
        """
        if not executions:
            return []
        _check_ids(executions)
        try:
            return self._insert(executions, meanwhile)
        except ReplyLost as lost:
            raise EnqueueUnknown([new.id for new in executions]) from lost
        except Exception as error:
            explain_refusal(error, executions)
            raise

    def _insert(
        self, executions: Sequence[NewExecution], meanwhile: Callable[[], object] | None
    ) -> list[Inserted]:
        if not all(map(_is_plain, executions)):
            replies = self._write_any(executions, meanwhile)
        elif len(executions) == 1:
            row = one_row(executions[0])
            count = self._connections.write("insert_now", row, meanwhile=meanwhile)
            replies = _queued(executions[:count])
        elif are_alike(executions):
            replies = self._write_alike(executions, meanwhile)
        else:
            replies = self._write_any(executions, meanwhile)
        self._add_known(executions, replies)
        return [replies[new.id] for new in executions]

    def _write_alike(
        self, executions: Sequence[NewExecution], meanwhile: Callable[[], object] | None
    ) -> dict[str, Inserted]:
        from butler.storage.postgres.driver import is_duplicate

        try:
            self._connections.write("insert_alike", alike_rows(executions), meanwhile=meanwhile)
        except Exception as error:
            if not is_duplicate(error):
                raise
            return self._write_any(executions, None)
        return _queued(executions)

    def _write_any(
        self, executions: Sequence[NewExecution], meanwhile: Callable[[], object] | None
    ) -> dict[str, Inserted]:
        if any(new.unique_key is not None for new in executions):
            return self._unique.insert(executions, meanwhile)
        columns = many_rows(executions)
        return rows.created(self._connections.ask("insert", columns, meanwhile=meanwhile))

    def _add_known(self, executions: Sequence[NewExecution], replies: dict[str, Inserted]) -> None:
        """Reply for ids that were there before: an earlier try wrote them."""
        rest = [new.id for new in executions if new.id not in replies]
        if rest:
            params = {"ids": literals.uuids(rest)}
            replies.update(rows.created(self._connections.run("insert_known", params)))
            gone = [id_ for id_ in rest if id_ not in replies]
            if gone:  # between the two statements: over, and deleted by an operator
                raise EnqueueUnknown(gone)


def _queued(executions: Sequence[NewExecution]) -> dict[str, Inserted]:
    status = ExecutionStatus.QUEUED
    return {new.id: Inserted(id=new.id, created=True, status=status) for new in executions}


def _check_ids(executions: Sequence[NewExecution]) -> None:
    ids = [new.id for new in executions]
    ids += [new.parent_id for new in executions if new.parent_id is not None]
    ids += [new.rerun_of for new in executions if new.rerun_of is not None]
    if not literals.are_uuids(ids):
        wrong = next(id_ for id_ in ids if not literals.is_uuid(id_))
        raise InvalidOption(f"an execution id must be a canonical UUID, got {wrong!r}")


def explain_refusal(error: BaseException, executions: Sequence[NewExecution]) -> None:
    """Raise what the caller can act on when the ledger refused a value."""
    from butler.storage.postgres.driver import data_refusal

    refusal = data_refusal(error)
    if refusal is None:
        return
    check_insertable(executions)
    raise InvalidRequest(f"the ledger cannot store what was enqueued: {refusal}") from error


def _is_plain(new: NewExecution) -> bool:
    """Whether insert_now.sql and insert_alike.sql can write it."""
    return not (
        new.unique_key or new.run_at or new.expires_at or new.delay_s is not None or new.unpushed
    )
