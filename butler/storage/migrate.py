"""Migrations: numbered files, forward only, each in one transaction of its own.

Two migrators may run at once, and die at any moment. Each file's transaction takes an advisory lock
that ends with it, and looks again which files are applied. The lock is polled: one that waits in
``pg_advisory_lock`` holds a snapshot that CREATE INDEX CONCURRENTLY waits for in turn, and a
session's lock means nothing behind PgBouncer. ``lock_timeout`` keeps a migration that must wait for
a table from making everybody wait behind it; it tries again.

A release of Butler whose newest migration is n works on schemas n and n+1, so that a migration may
run while workers of the release before go on.
"""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from butler.errors import SchemaOutdated, StorageUnavailable
from butler.storage.postgres.statements import quoted_schema, source
from butler.storage.postgres.url import connect_options, described, redacted

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

OLDEST_SERVER = 14
_FILE_NAME = re.compile(r"(\d{4})_\w+\.sql")
_POLL_S = 0.1
_LOCK_TIMEOUT = "3s"
_CONNECT_WITHIN_S = 10.0
_OWN_TABLE = (
    "CREATE TABLE IF NOT EXISTS {schema}.migrations ("
    "number integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, "
    "applied_at timestamptz NOT NULL)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file of ``migrations/``."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """What an applied migration is compared by."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationStatus:
    """Which of this release's migrations a ledger has, and which it has besides, by name."""

    applied: tuple[str, ...]
    pending: tuple[str, ...]
    unknown: tuple[str, ...]

    def problem(self) -> str | None:
        """Why this release cannot work on such a schema; None when it can."""
        if self.pending and not self.applied:
            return "it has none of Butler's tables. Run: butler migrate"
        if self.pending:
            return f"it lacks {', '.join(self.pending)}. Run: butler migrate"
        if len(self.unknown) > 1:
            return (
                f"it has {', '.join(self.unknown)}, and this release works on at most one "
                "migration more than its own. Install a newer release of butler-tasks"
            )
        return None


@cache
def known_migrations() -> tuple[Migration, ...]:
    """This release's migrations, in order."""
    found = []
    for file in files("butler.storage.postgres").joinpath("migrations").iterdir():
        matched = _FILE_NAME.fullmatch(file.name)
        if matched:
            sql = file.read_text(encoding="utf-8")
            name = file.name.removesuffix(".sql")
            found.append(Migration(number=int(matched[1]), name=name, sql=sql))
    return tuple(sorted(found, key=lambda migration: migration.number))


def compare(applied: Iterable[tuple[int, str, str]]) -> MigrationStatus:
    """The status of a ledger that has these migrations: number, name, checksum.

    Raises `SchemaOutdated` when a file was changed after it was applied.
    """
    rows = {number: (name, checksum) for number, name, checksum in applied}
    known = {migration.number: migration for migration in known_migrations()}
    for number in known.keys() & rows.keys():
        if known[number].checksum != rows[number][1]:
            raise SchemaOutdated(
                f"migration {rows[number][0]} was applied from a file that differs from this "
                "release's: the ledger was migrated by another build of Butler. Install the "
                "release that migrated it, or start a ledger in another schema"
            )
    return MigrationStatus(
        applied=tuple(m.name for m in known.values() if m.number in rows),
        pending=tuple(m.name for m in known.values() if m.number not in rows),
        unknown=tuple(rows[number][0] for number in sorted(rows.keys() - known.keys())),
    )


def migrate(database_url: str, *, schema: str = "butler", timeout_s: float = 60.0) -> list[str]:
    """Apply what is missing; the names of the migrations applied by this call, in order.

    ``timeout_s`` is how long to wait for another migrator, and for locks on tables in use. Raises
    `StorageUnavailable`, and `SchemaOutdated` for a server that is too old.
    """
    deadline = time.monotonic() + timeout_s
    with _connected(database_url) as connection:
        _check_server(connection, database_url)
        applied = [
            migration.name
            for migration in known_migrations()
            if _apply(connection, migration, schema=schema, deadline=deadline)
        ]
        _grow_small_tables(connection, schema=schema)
    return applied


def status(database_url: str, *, schema: str = "butler") -> MigrationStatus:
    """Which migrations a ledger has; changes nothing."""
    with _connected(database_url) as connection:
        return compare(_applied(connection, schema=schema))


def script(names: Iterable[str], *, schema: str = "butler") -> str:
    """The SQL of these migrations, to be run by hand: each in a transaction, noted as applied."""
    wanted = set(names)
    quoted = quoted_schema(schema)
    parts = [
        f"-- {migration.name}\n"
        "BEGIN;\n"
        f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}';\n"
        f"CREATE SCHEMA IF NOT EXISTS {quoted};\n"
        f"{_OWN_TABLE.format(schema=quoted)};\n\n"
        f"{migration.sql.replace('{schema}', quoted).strip()}\n\n"
        f"INSERT INTO {quoted}.migrations (number, name, checksum, applied_at)\n"
        f"VALUES ({migration.number}, '{migration.name}', '{migration.checksum}', now());\n"
        "COMMIT;\n"
        for migration in known_migrations()
        if migration.name in wanted
    ]
    return "\n".join(parts)


def _apply(
    connection: psycopg.Connection[Any], migration: Migration, *, schema: str, deadline: float
) -> bool:
    """Apply one file, unless it is applied already; whether this call did."""
    from psycopg import Error, errors

    while True:
        try:
            with connection.transaction():
                if _lock(connection, schema=schema):
                    return _apply_locked(connection, migration, schema=schema)
            reason = "another migrator is at work"
        except errors.LockNotAvailable as error:
            reason = redacted(str(error))
        except Error as error:
            message = f"migration {migration.name} failed, and changed nothing: {error}"
            raise StorageUnavailable(redacted(message)) from error
        if time.monotonic() > deadline:
            raise StorageUnavailable(f"migration {migration.name} had to wait too long: {reason}")
        time.sleep(_POLL_S)


def _grow_small_tables(connection: psycopg.Connection[Any], *, schema: str) -> None:
    if connection.execute(source("small_tables").encode(), {"schema": schema}).fetchone():
        grow = source("grow_tables").replace("{schema}", quoted_schema(schema))
        connection.execute(grow.encode())


def _lock(connection: psycopg.Connection[Any], *, schema: str) -> bool:
    """Try to be the only migrator of this schema until the transaction ends."""
    row = connection.execute(
        "SELECT pg_try_advisory_xact_lock(hashtextextended('butler migrate ' || %s, 0)), "
        "set_config('lock_timeout', %s, true)",
        (schema, _LOCK_TIMEOUT),
    ).fetchone()
    return row is not None and bool(row[0])


def _apply_locked(
    connection: psycopg.Connection[Any], migration: Migration, *, schema: str
) -> bool:
    quoted = quoted_schema(schema)
    if migration.number in {number for number, _, _ in _applied(connection, schema=schema)}:
        return False
    # CREATE SCHEMA IF NOT EXISTS asks for the right to create one even where it exists.
    if not _exists(connection, "SELECT FROM pg_namespace WHERE nspname = %s", schema):
        connection.execute(f"CREATE SCHEMA {quoted}".encode())
    connection.execute(_OWN_TABLE.format(schema=quoted).encode())
    connection.execute(migration.sql.replace("{schema}", quoted).encode())
    escaped = quoted.replace("%", "%%")
    connection.execute(
        f"INSERT INTO {escaped}.migrations (number, name, checksum, applied_at) "  # noqa: S608
        "VALUES (%s, %s, %s, now())".encode(),
        (migration.number, migration.name, migration.checksum),
    )
    return True


def _applied(connection: psycopg.Connection[Any], *, schema: str) -> list[tuple[int, str, str]]:
    quoted = quoted_schema(schema)
    if not _exists(
        connection,
        "SELECT FROM pg_tables WHERE schemaname = %s AND tablename = 'migrations'",
        schema,
    ):
        return []
    statement = f"SELECT number, name, checksum FROM {quoted}.migrations ORDER BY number"  # noqa: S608
    return connection.execute(statement.encode()).fetchall()


def _exists(connection: psycopg.Connection[Any], query: Any, schema: str) -> bool:
    return connection.execute(query, (schema,)).fetchone() is not None


def _check_server(connection: psycopg.Connection[Any], database_url: str) -> None:
    version = connection.info.server_version
    if version < OLDEST_SERVER * 10_000:
        raise SchemaOutdated(
            f"Butler needs PostgreSQL {OLDEST_SERVER} or newer, and {described(database_url)} is "
            f"{version // 10_000}.{version % 10_000}: upgrade the server"
        )


def _connected(database_url: str) -> psycopg.Connection[Any]:
    import psycopg

    options = connect_options(database_url, timeout_s=_CONNECT_WITHIN_S)
    # A migration may take long, and the socket's limit is on silence, not on work.
    try:
        return psycopg.connect("", **options, autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        reason = redacted(" ".join(str(error).split()))
        raise StorageUnavailable(
            f"the ledger at {described(database_url)} cannot be reached: {reason}"
        ) from error
