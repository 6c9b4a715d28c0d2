"""Migrations of the ledger, and what `prepare` says of a schema it cannot use."""

from __future__ import annotations

import psycopg
import pytest
from postgres_scenes import in_thread, start_many

from butler import lifecycle
from butler.errors import SchemaOutdated, SettingsError, StorageUnavailable
from butler.executions import ExecutionStatus
from butler.storage import migrate as migrations
from butler.storage.migrate import MigrationStatus, known_migrations, migrate, status
from butler.storage.postgres import PostgresStorage
from butler.storage.records import ExecutionQuery

NAMES = [migration.name for migration in known_migrations()]
ODD = 'we"ird %s {schema} 100% ünï'


@pytest.fixture
def empty_database_url(database_url, connection):
    """The URL of a database without Butler's schema."""
    connection.execute("DROP SCHEMA butler CASCADE")
    return database_url


def test_migrating_applies_each_file_once(empty_database_url):
    assert status(empty_database_url) == MigrationStatus(
        applied=(), pending=tuple(NAMES), unknown=()
    )
    assert migrate(empty_database_url) == NAMES
    assert migrate(empty_database_url) == []
    assert status(empty_database_url) == MigrationStatus(
        applied=tuple(NAMES), pending=(), unknown=()
    )


def test_numbers_of_migrations_are_consecutive_from_one():
    numbers = [migration.number for migration in known_migrations()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_two_migrators_at_once_apply_each_file_once(empty_database_url):
    joins = [in_thread(lambda: migrate(empty_database_url)) for _ in range(4)]
    # The lock is of a file: another one may go on where the first has got to.
    assert sorted(name for join in joins for name in join()) == NAMES


def test_a_ledger_lives_in_a_schema_with_an_odd_name(database_url):
    assert migrate(database_url, schema=ODD) == NAMES
    storage = PostgresStorage(database_url, schema=ODD)
    storage.prepare()
    first, second = start_many(storage, 2, unique_key=None)
    storage.finish([lifecycle.succeed(first, result="1"), lifecycle.hand_back(second, reason="x")])
    assert storage.count(ExecutionQuery()) == {
        ExecutionStatus.SUCCEEDED: 1,
        ExecutionStatus.QUEUED: 1,
    }
    neighbour = PostgresStorage(database_url)
    assert neighbour.count(ExecutionQuery()) == {}
    assert neighbour.ledger_id() != storage.ledger_id()
    storage.close()
    neighbour.close()


@pytest.mark.parametrize("schema", ["", "x" * 64, "nul\0"])
def test_a_schema_name_that_postgres_would_not_keep_is_refused(schema):
    with pytest.raises(SettingsError, match="schema must be a name of 1 to 63 bytes"):
        PostgresStorage("postgresql://nowhere/x", schema=schema)


def test_a_schema_that_is_missing_is_outdated_and_the_command_is_named(empty_database_url):
    storage = PostgresStorage(empty_database_url)
    with pytest.raises(SchemaOutdated, match=r"none of Butler's tables. Run: butler migrate"):
        storage.prepare()
    with pytest.raises(SchemaOutdated, match="butler migrate"):
        storage.leadership()
    storage.close()


def test_auto_brings_the_schema_up_to_date(empty_database_url):
    storage = PostgresStorage(empty_database_url, migrate="auto")
    storage.prepare()
    storage.prepare()
    assert storage.leadership().epoch == 0
    storage.close()


def test_a_schema_one_migration_ahead_is_fine_and_two_ahead_is_not(database_url, connection):
    add = "INSERT INTO butler.migrations VALUES (%s, %s, 'x', now())"
    connection.execute(add, (len(NAMES) + 1, "9998_next"))
    ahead = PostgresStorage(database_url)
    ahead.prepare()
    ahead.close()
    connection.execute(add, (len(NAMES) + 2, "9999_after"))
    far_ahead = PostgresStorage(database_url, migrate="auto")
    with pytest.raises(SchemaOutdated, match=r"9998_next, 9999_after.*newer release"):
        far_ahead.prepare()
    far_ahead.close()


def test_a_migration_that_was_changed_after_it_was_applied_is_noticed(database_url, connection):
    connection.execute("UPDATE butler.migrations SET checksum = 'other'")
    storage = PostgresStorage(database_url)
    with pytest.raises(SchemaOutdated, match="0001_ledger was applied from a file that differs"):
        storage.prepare()
    storage.close()


def test_a_migration_that_fails_changes_nothing(empty_database_url, connection, monkeypatch):
    broken = migrations.Migration(
        number=2, name="0002_broken", sql="CREATE TABLE {schema}.half (x int); SELECT 1 / 0"
    )
    known = known_migrations()[:1]
    monkeypatch.setattr(migrations, "known_migrations", lambda: (*known, broken))
    with pytest.raises(StorageUnavailable, match="0002_broken failed, and changed nothing"):
        migrate(empty_database_url)
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'butler' AND tablename = 'half'"
    assert connection.execute(tables).fetchone() == (0,)
    numbers = connection.execute("SELECT number FROM butler.migrations").fetchall()
    assert numbers == [(1,)]


def test_a_migration_waits_for_a_table_in_use_without_stopping_its_users(
    database_url, connection, monkeypatch
):
    slow = migrations.Migration(
        number=len(NAMES) + 1,
        name="0099_lock",
        sql="LOCK TABLE {schema}.meta IN ACCESS EXCLUSIVE MODE",
    )
    known = known_migrations()
    monkeypatch.setattr(migrations, "known_migrations", lambda: (*known, slow))
    monkeypatch.setattr(migrations, "_LOCK_TIMEOUT", "50ms")
    with psycopg.connect(database_url) as reader:
        reader.execute("SELECT FROM butler.meta")
        with pytest.raises(StorageUnavailable, match="0099_lock had to wait too long"):
            migrate(database_url, timeout_s=0.5)
        migrating = in_thread(lambda: migrate(database_url))
        storage = PostgresStorage(database_url)
        assert len(storage.ledger_id()) == 36
        storage.close()
        reader.rollback()
        assert migrating() == ["0099_lock"]


def test_a_server_that_is_too_old_is_refused(empty_database_url, monkeypatch):
    monkeypatch.setattr(migrations, "OLDEST_SERVER", 99)
    with pytest.raises(SchemaOutdated, match="needs PostgreSQL 99 or newer"):
        migrate(empty_database_url)


def test_a_role_without_the_right_to_create_schemas_migrates_one_that_is_there(
    empty_database_url, connection
):
    connection.execute("DROP ROLE IF EXISTS plain")
    connection.execute("CREATE ROLE plain LOGIN")
    connection.execute("CREATE SCHEMA butler AUTHORIZATION plain")
    options = psycopg.conninfo.conninfo_to_dict(empty_database_url)
    url = psycopg.conninfo.make_conninfo(**(options | {"user": "plain"}))
    assert migrate(url) == NAMES
    connection.execute("DROP SCHEMA butler CASCADE")
    connection.execute("DROP ROLE plain")


def test_a_ledger_that_cannot_be_reached_is_reported():
    with pytest.raises(StorageUnavailable, match="cannot be reached"):
        migrate("postgresql://me:hush@127.0.0.1:1/x")
