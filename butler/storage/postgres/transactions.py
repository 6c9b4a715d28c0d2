"""Enqueueing in somebody else's transaction: what is asked there, and what the answers mean.

The work is done by functions in the ledger's schema (migration 0002): one call, one round trip.
``enqueue_within`` reports what went wrong instead of raising it, so that our failure undoes our
rows and nothing of the user's. It is given where this ledger is, as our own connection sees it, and
refuses to write elsewhere: an execution in another database would never be found.

Whether the functions are there at all is asked once for each connection, of the catalog: to call a
function that does not exist would end the user's transaction.
"""

from __future__ import annotations

import contextlib
import json
import weakref
from typing import TYPE_CHECKING, Any, Literal

from butler.errors import (
    InvalidRequest,
    SchemaOutdated,
    StorageUnavailable,
    TransactionRefused,
)
from butler.executions import ExecutionStatus
from butler.storage.postgres import literals
from butler.storage.postgres.statements import quoted_schema
from butler.storage.postgres.unique_inserts import key_busy
from butler.storage.postgres.url import described
from butler.storage.records import Inserted, InsertedWithin
from butler.storage.values import check_insertable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from butler.storage.base import Caller, TransactionState
    from butler.storage.postgres.connections import PostgresConnections
    from butler.storage.records import NewExecution

_STATES: dict[str, TransactionState] = {
    "in progress": "open",
    "committed": "committed",
    "aborted": "rolled back",
}
_KEY_WAITS = {"55P03", "40P01"}
_REFUSALS = {
    "25006": "it is read-only",
    "42501": "its role lacks a right on the ledger's schema (see docs/transactions.md)",
}


class PostgresTransactions:
    """Writes within transactions on other connections than ours.

    ``notify`` tells the scheduler at the commit; without it the scheduler finds the rows when it
    looks. ``unique_wait_s`` is how long a key is waited for that another transaction has written.
    """

    def __init__(
        self, connections: PostgresConnections, *, notify: bool, unique_wait_s: float
    ) -> None:
        self._connections = connections
        self._notify = notify
        self._unique_wait_s = unique_wait_s
        self._schema = quoted_schema(connections.schema)
        self._checked: weakref.WeakSet[Any] = weakref.WeakSet()
        self._place: str | None = None

    def insert_within(self, executions: Sequence[NewExecution], caller: Caller) -> InsertedWithin:
        """Write executions as scheduled, in the caller's transaction."""
        self._check_functions(caller)
        place = self.ledger_place()
        reply = self._ask(executions, caller, place=place)
        if reply.get("code") == "other_ledger":
            # Our own connections may lead elsewhere since, after a move to another server.
            self._place = None
            if self.ledger_place() != place:
                reply = self._ask(executions, caller, place=self.ledger_place())
        if "placed" not in reply:
            raise self._error(reply, executions)
        placed = {given: _inserted(*rest) for given, *rest in reply["placed"]}
        return InsertedWithin(
            rows=tuple(placed[new.id] for new in executions), transaction_id=reply["transaction"]
        )

    def transaction_state(self, transaction_id: str) -> TransactionState | None:
        """How a transaction stands; None when the server has forgotten it."""
        from butler.storage.postgres.driver import data_refusal

        try:
            ((status,),) = self._connections.run("transaction_state", {"id": transaction_id})
        except Exception as error:
            # "in the future": a crash took the number back before anything of it was kept.
            if data_refusal(error) is None:
                raise
            return "rolled back"
        return None if status is None else _STATES[status]

    def statement(
        self, new: NewExecution, *, placeholders: Literal["$1", "%s"]
    ) -> tuple[str, tuple[str | None, ...]]:
        """A call of the function enqueue, with the whole execution in its parameters.

        All of them are texts with a cast, so that no driver needs to know a type. The id is among
        them: run twice, the statement writes one execution.
        """
        arguments = _arguments(new) | {
            "notify": ("boolean", "t" if self._notify else "f"),
            "unique_wait_s": ("double precision", repr(float(self._unique_wait_s))),
        }
        given = {name: pair for name, pair in arguments.items() if pair[1] is not None}
        function = self._schema if placeholders == "$1" else self._schema.replace("%", "%%")
        listed = ", ".join(
            f"{name} => CAST(CAST({_placeholder(placeholders, n)} AS text) AS {kind})"
            for n, (name, (kind, _)) in enumerate(given.items(), start=1)
        )
        return f"SELECT {function}.enqueue({listed})", tuple(value for _, value in given.values())

    def ledger_place(self) -> str:
        """Which ledger this is and where, as the server tells it."""
        if self._place is None:
            ((place,),) = self._connections.run("ledger_place")
            self._place = str(place)
        return self._place

    def _ask(
        self, executions: Sequence[NewExecution], caller: Caller, *, place: str
    ) -> dict[str, Any]:
        function = self._schema.replace("%", "%%")
        statement = (
            f"SELECT {function}.enqueue_within(CAST(%s AS text), CAST(%s AS text), "
            "CAST(CAST(%s AS text) AS boolean), CAST(CAST(%s AS text) AS double precision))"
        )
        rows = json.dumps([_fields(new) for new in executions])
        notify = "t" if self._notify else "f"
        params = (place, rows, notify, repr(float(self._unique_wait_s)))
        reply: dict[str, Any] = json.loads(caller.ask(statement, params) or "{}")
        return reply

    def _check_functions(self, caller: Caller) -> None:
        if caller.raw in self._checked:
            return
        usable = caller.ask(
            "SELECT CAST(has_schema_privilege(n.oid, 'USAGE') AS text) "
            "FROM pg_catalog.pg_namespace AS n "
            "JOIN pg_catalog.pg_proc AS p ON p.pronamespace = n.oid "
            "WHERE n.nspname = CAST(%s AS text) AND p.proname = 'enqueue_within'",
            (self._connections.schema,),
        )
        if usable is None:
            raise TransactionRefused(
                "the transaction is on a database that holds no ledger in the schema "
                f"{self._connections.schema!r}; this Butler's is at {self._where()}. A row commits "
                "with your data only where both are in one database: keep them together, or "
                "enqueue after your commit"
            )
        if usable != "true":
            raise TransactionRefused(
                f"the transaction's role may not use the ledger's schema "
                f"{self._connections.schema!r}: grant it what docs/transactions.md lists"
            )
        with contextlib.suppress(TypeError):  # a driver whose connections cannot be remembered
            self._checked.add(caller.raw)

    def _error(self, reply: dict[str, Any], executions: Sequence[NewExecution]) -> Exception:
        """What the caller can act on; its transaction is as it was before."""
        code, message = str(reply.get("code")), str(reply.get("message"))
        if code == "other_ledger":
            return TransactionRefused(
                f"the transaction is on another database ({message.partition('@')[2]}) than this "
                f"Butler's ledger, which is at {self._where()}; nothing was written there"
            )
        if code in _KEY_WAITS and any(new.unique_key for new in executions):
            return key_busy(executions, waited_s=self._unique_wait_s)
        if code in _REFUSALS:
            return TransactionRefused(
                f"the transaction cannot enqueue: {_REFUSALS[code]}; the server says: {message}"
            )
        if code[:2] in {"22", "23", "54"}:
            check_insertable(executions)
            return InvalidRequest(f"the ledger cannot store what was enqueued: {message}")
        if code in {"3F000", "42P01", "42703", "42883"}:
            return SchemaOutdated(f"the ledger at {self._where()}: {message}. Run: butler migrate")
        return StorageUnavailable(
            f"the ledger did not take the enqueue: {message}; it is undone, and the transaction "
            "it was made in can go on"
        )

    def _where(self) -> str:
        return described(self._connections.url)


def _inserted(execution_id: str, created: bool, replaced: bool) -> Inserted:  # noqa: FBT001
    status = ExecutionStatus.SCHEDULED
    return Inserted(id=execution_id, created=created, status=status, replaced=replaced)


def _fields(new: NewExecution) -> dict[str, Any]:
    """An element of place_rows' array."""
    fields: dict[str, Any] = {
        name: value for name, (_, value) in _arguments(new).items() if value is not None
    }
    fields["tags"] = list(new.tags)
    if new.fingerprint is None:
        del fields["fingerprint"]
    if new.limit_keys is not None:
        fields["limit_keys"] = new.limit_keys.to_json()
    if new.rerun_of is not None:
        fields["rerun_of"] = new.rerun_of
    return fields


def _arguments(new: NewExecution) -> dict[str, tuple[str, str | None]]:
    """The arguments of the function enqueue: each one's type and text."""
    run_at, expires_at = new.run_at, new.expires_at
    return {
        "id": ("uuid", new.id),
        "task": ("text", new.task),
        "request": ("jsonb", new.request),
        "queue": ("text", new.queue),
        "priority": ("text", str(new.priority)),
        "run_at": ("timestamptz", None if run_at is None else run_at.isoformat()),
        "delay_s": ("double precision", None if new.delay_s is None else repr(new.delay_s)),
        "expires_at": ("timestamptz", None if expires_at is None else expires_at.isoformat()),
        "unique_key": ("text", new.unique_key),
        "replace": ("boolean", "t" if new.replace else None),
        "max_attempts": ("integer", str(new.max_attempts)),
        "timeout_s": ("double precision", None if new.timeout_s is None else repr(new.timeout_s)),
        "user_id": ("text", new.user_id),
        "tags": ("text[]", literals.texts(new.tags) if new.tags else None),
        "parent_id": ("uuid", new.parent_id),
        "fingerprint": ("text", new.fingerprint or ""),
        "traceparent": ("text", new.traceparent),
        "limit_keys": (
            "jsonb",
            None if new.limit_keys is None else json.dumps(new.limit_keys.to_json()),
        ),
    }


def _placeholder(style: str, position: int) -> str:
    return f"${position}" if style == "$1" else "%s"
