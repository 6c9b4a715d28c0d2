"""A ledger in PostgreSQL."""

from butler.storage.postgres.storage import PostgresStorage

__all__ = ["PostgresStorage"]
