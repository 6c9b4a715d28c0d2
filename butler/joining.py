"""What may be passed as ``transaction=``, for type checkers; no driver is loaded.

SQLAlchemy's and Django's are told by what they alone have, so that neither needs to be installed.
What the values are is found out in ``butler.storage.postgres.callers``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    import psycopg

    Psycopg: TypeAlias = (
        psycopg.Connection[Any]
        | psycopg.Cursor[Any]
        | psycopg.Transaction
        | psycopg.AsyncConnection[Any]
        | psycopg.AsyncCursor[Any]
        | psycopg.AsyncTransaction
    )
    Transaction: TypeAlias = "Psycopg | SqlAlchemyTransaction | DjangoTransaction"

Placeholders: TypeAlias = Literal["$1", "%s"]


class SqlAlchemyTransaction(Protocol):
    """A ``Session``, ``Connection``, ``AsyncSession`` or ``AsyncConnection`` of SQLAlchemy."""

    def in_transaction(self) -> bool:
        """Whether one is open."""
        ...

    def in_nested_transaction(self) -> bool:
        """Whether a savepoint is."""
        ...


class DjangoTransaction(Protocol):
    """``django.db.connection``, or one of ``django.db.connections``."""

    in_atomic_block: bool
    needs_rollback: bool
