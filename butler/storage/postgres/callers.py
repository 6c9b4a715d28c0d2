"""The connections that an enqueue can join: psycopg's, SQLAlchemy's and Django's.

`caller_of` and `async_caller_of` recognise what was passed as ``transaction=`` and refuse what
would not do what it looks like: a connection in autocommit (the row would be there at once, and
stay), one whose transaction has failed, one of the other kind (sync or async). SQLAlchemy and
Django are known by their classes, which are looked up only if the application has loaded them.

The statement always goes through what was passed, never past it to the driver: SQLAlchemy must see
a statement to begin its transaction, or its commit would do nothing.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from butler.errors import TransactionRefused

if TYPE_CHECKING:
    import psycopg

    from butler.storage.base import Caller

    Params = tuple[str | None, ...]

# Not the end of an escaped one, as in a schema called "100%s".
_PLACEHOLDER = re.compile("(?<!%)%s")

TESTED_DRIVERS = frozenset({"psycopg", "psycopg_async", "asyncpg"})


def caller_of(transaction: Any) -> Caller:
    """How to speak in a transaction of a blocking connection; raises `TransactionRefused`."""
    import psycopg

    if isinstance(transaction, psycopg.Cursor | psycopg.Transaction):
        transaction = transaction.connection
    if isinstance(transaction, psycopg.Connection):
        return PsycopgCaller(transaction)
    if is_sqlalchemy(transaction, "Session", "scoped_session"):
        return SqlAlchemyCaller(transaction.connection())
    if is_sqlalchemy(transaction, "Connection"):
        return SqlAlchemyCaller(transaction)
    django = _django_connection(transaction)
    if django is not None:
        return DjangoCaller(django)
    raise TransactionRefused(_why_not(transaction, wanted_async=False))


class PsycopgCaller:
    """A psycopg connection, or a cursor's."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        check_psycopg(connection)
        self.raw: Any = connection

    def ask(self, statement: str, params: Params) -> str | None:
        """Run it on a cursor of our own kind, whatever kinds the connection makes."""
        import psycopg
        from psycopg.rows import tuple_row

        with psycopg.Cursor(self.raw, row_factory=tuple_row) as cursor:
            row = cursor.execute(statement.encode(), params).fetchone()
        return None if row is None else row[0]


class SqlAlchemyCaller:
    """A connection of SQLAlchemy, or a session's."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.raw: Any = check_sqlalchemy(connection, connection.connection)

    def ask(self, statement: str, params: Params) -> str | None:
        """Run it through SQLAlchemy, which begins its transaction by that."""
        value: str | None = self._connection.execute(*sqlalchemy_text(statement, params)).scalar()
        return value


class DjangoCaller:
    """Django's connection of this thread."""

    def __init__(self, connection: Any) -> None:
        _check_django(connection)
        self._connection = connection
        connection.ensure_connection()
        self.raw: Any = connection.connection

    def ask(self, statement: str, params: Params) -> str | None:
        """Run it on a cursor of Django's."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, params)
            row = cursor.fetchone()
        return None if row is None else row[0]


def check_psycopg(connection: Any) -> None:
    """Raise `TransactionRefused` if an enqueue here would not be part of a transaction."""
    from psycopg.pq import TransactionStatus

    status = connection.info.transaction_status
    if connection.closed:
        raise TransactionRefused("the connection passed as transaction= is closed")
    if status == TransactionStatus.INERROR:
        raise TransactionRefused(
            "the transaction has failed already and can only be rolled back; nothing was enqueued"
        )
    if connection.autocommit and status == TransactionStatus.IDLE:
        raise _autocommit("open one with `with connection.transaction():`")


def check_sqlalchemy(connection: Any, pooled: Any) -> Any:
    """The driver's connection; ``pooled`` is what SQLAlchemy's pool handed out.

    Raises `TransactionRefused` for another database, an untested driver, and autocommit.
    """
    dialect = connection.dialect
    if dialect.name != "postgresql":
        raise TransactionRefused(
            f"the transaction is on {dialect.name}, and the ledger is in PostgreSQL: a row commits "
            "with your data only where both are in one database; enqueue after your commit"
        )
    if dialect.driver not in TESTED_DRIVERS:
        raise TransactionRefused(
            f"transaction= was not tested with SQLAlchemy on {dialect.driver}: execute "
            'task.statement(request, placeholders="%s") with exec_driver_sql instead'
        )
    if pooled.dbapi_connection.autocommit:
        raise _autocommit('take the isolation level "AUTOCOMMIT" off this connection')
    return pooled.driver_connection


def sqlalchemy_text(statement: str, params: Params) -> tuple[Any, dict[str, str | None]]:
    """The statement with SQLAlchemy's placeholders, and their values."""
    parts = [part.replace("%%", "%").replace(":", r"\:") for part in _PLACEHOLDER.split(statement)]
    names = [f"butler_{n}" for n in range(len(params))]
    written = parts[0] + "".join(
        f":{name}{part}" for name, part in zip(names, parts[1:], strict=True)
    )
    return sys.modules["sqlalchemy"].text(written), dict(zip(names, params, strict=True))


def is_sqlalchemy(value: object, *names: str) -> bool:
    """Whether this is one of these classes, from whichever part of SQLAlchemy has them."""
    for module in ("sqlalchemy.engine", "sqlalchemy.orm", "sqlalchemy.ext.asyncio"):
        loaded = sys.modules.get(module)
        kinds = (getattr(loaded, name, None) for name in names)
        if any(isinstance(kind, type) and isinstance(value, kind) for kind in kinds):
            return True
    return False


def why_not_async(transaction: object) -> str:
    """Why `async_caller_of` cannot use this."""
    return _why_not(transaction, wanted_async=True)


def _django_connection(transaction: Any) -> Any:
    """Django's wrapper; ``django.db.connection`` stands for the one of this thread."""
    backends = sys.modules.get("django.db.backends.base.base")
    proxies = sys.modules.get("django.utils.connection")
    if backends is None or proxies is None:
        return None
    if isinstance(transaction, proxies.ConnectionProxy):
        settings = transaction.__dict__
        transaction = settings["_connections"][settings["_alias"]]
    return transaction if isinstance(transaction, backends.BaseDatabaseWrapper) else None


def _check_django(connection: Any) -> None:
    if connection.vendor != "postgresql":
        raise TransactionRefused(
            f"the transaction is on {connection.vendor}, and the ledger is in PostgreSQL: a row "
            "commits with your data only where both are in one database; use transaction.on_commit"
        )
    if connection.needs_rollback:
        raise TransactionRefused(
            "the transaction has failed already and can only be rolled back; nothing was enqueued"
        )
    if not connection.in_atomic_block and connection.get_autocommit():
        raise _autocommit("open one with `with transaction.atomic():`")


def _autocommit(remedy: str) -> TransactionRefused:
    return TransactionRefused(
        "the connection passed as transaction= is in autocommit, with no transaction open: the "
        f"execution would be there at once, whatever becomes of your data. To tie them, {remedy}; "
        "to enqueue at once, leave transaction= out"
    )


def _why_not(transaction: object, *, wanted_async: bool) -> str:

    name = type(transaction).__name__
    if wanted_async and _is_blocking(transaction):
        return (
            f"{name} is a blocking connection, and aenqueue() would block the event loop with it: "
            "call enqueue(..., transaction=...) in the thread that has the transaction"
        )
    if not wanted_async and _is_async(transaction):
        return (
            f"{name} is an async connection, which enqueue() cannot wait for: write "
            "await task.aenqueue(..., transaction=...)"
        )
    return (
        "transaction must be a psycopg connection or cursor, a SQLAlchemy session or connection on "
        f"psycopg, or Django's connection, got {name}; with any other driver execute "
        "task.statement(request)"
    )


def _is_blocking(transaction: object) -> bool:
    import psycopg

    return (
        isinstance(transaction, psycopg.Connection | psycopg.Cursor | psycopg.Transaction)
        or is_sqlalchemy(transaction, "Connection", "Session", "scoped_session")
        or _django_connection(transaction) is not None
    )


def _is_async(transaction: object) -> bool:
    import psycopg

    kinds = psycopg.AsyncConnection | psycopg.AsyncCursor | psycopg.AsyncTransaction
    return isinstance(transaction, kinds) or is_sqlalchemy(
        transaction, "AsyncConnection", "AsyncSession", "async_scoped_session"
    )
