"""What only the ledger in PostgreSQL has: values it refuses, locks, commit modes, settings."""

from __future__ import annotations

import logging
import subprocess
import sys
import time

import psycopg
import pytest
from postgres_scenes import (
    add_worker,
    in_thread,
    insert_many,
    new_execution,
    start_many,
)

from butler import lifecycle
from butler.errors import InvalidOption
from butler.executions import ExecutionStatus
from butler.ids import new_id
from butler.storage.postgres import PostgresStorage
from butler.storage.records import ExecutionQuery, ProgressReport

_S = ExecutionStatus


@pytest.fixture
def storage(database_url):
    storage = PostgresStorage(database_url, command_timeout_s=20)
    yield storage
    storage.close()


# Batches


def test_values_that_cannot_be_stored_are_failed_alone_out_of_a_large_batch(storage):
    attempts = start_many(storage, 200)
    poison = {3: '"\\u0000"', 77: "NaN", 78: '"\ud800"', 199: '"\0"'}

    replies = storage.finish(
        [lifecycle.succeed(a, result=poison.get(n, '"ok"')) for n, a in enumerate(attempts)]
    )

    assert [reply.id for reply in replies] == [attempt.id for attempt in attempts]
    rejected = {n: reply for n, reply in enumerate(replies) if reply.rejected}
    assert set(rejected) == set(poison)
    assert storage.count(ExecutionQuery()) == {_S.SUCCEEDED: 196, _S.FAILED: 4}
    error = storage.get(attempts[77].id).error
    assert error.type == "ResultNotStorable"
    assert error.message.startswith("the work ran, its result could not be stored: ")


def test_overlapping_batches_from_four_threads_do_not_deadlock(storage, database_url, caplog):
    attempts = start_many(storage, 400)
    before = _deadlocks(database_url)
    orders = [attempts, attempts[::-1], attempts[200:] + attempts[:200], attempts[::2]]

    def finish(order):
        return [
            storage.finish([lifecycle.succeed(a, result='"ok"') for a in order[n : n + 100]])
            for n in range(0, len(order), 100)
        ]

    joins = [in_thread(lambda order=order: finish(order)) for order in orders]

    for join in joins:
        replies = join()
        assert not isinstance(replies, BaseException), replies
        assert all(reply.applied for batch in replies for reply in batch)
    assert storage.count(ExecutionQuery()) == {_S.SUCCEEDED: 400}
    assert _deadlocks(database_url) == before


def _deadlocks(database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        (number,) = connection.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
        return number


def test_a_batch_of_progress_with_a_nul_keeps_all_reports(storage):
    attempts = start_many(storage, 20)
    storage.report_progress(
        [
            ProgressReport(
                execution_id=attempt.id,
                attempt=attempt.attempt,
                claim_token=attempt.claim_token,
                percent=float(n),
                message="a\0b" if n == 7 else "ab",
            )
            for n, attempt in enumerate(attempts)
        ]
    )
    messages = [storage.get(attempt.id).progress.message for attempt in attempts]
    assert messages[7] == "a\N{REPLACEMENT CHARACTER}b"
    assert messages.count("ab") == 19


def test_a_unique_key_left_by_an_execution_that_is_gone_is_taken_over(storage, database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO butler.unique_keys VALUES ('Send Mail', 'invoice-7', %s)", (new_id(),)
        )
    new = new_execution(unique_key="invoice-7")
    (reply,) = storage.insert([new])
    assert (reply.id, reply.created) == (new.id, True)


# Commits and sessions


@pytest.mark.parametrize(
    ("statement", "mode"), [("claim", "off"), ("report_progress", "off"), ("finish", "on")]
)
def test_only_what_a_crash_may_undo_is_committed_asynchronously(statement, mode, database_url):
    """A trigger at the end of each transaction notes the mode in which it commits."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit TO on', "
            "current_database()); END $$"
        )
        storage = PostgresStorage(database_url)
        attempts = start_many(storage, 1)
        connection.execute(
            "CREATE TABLE modes (mode text);"
            "CREATE FUNCTION note_mode() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "INSERT INTO modes VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;"
            "CREATE CONSTRAINT TRIGGER probe AFTER UPDATE ON butler.executions "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_mode()"
        )
        if statement == "claim":
            start_many(storage, 1)
        elif statement == "finish":
            storage.finish([lifecycle.succeed(attempts[0], result=None)])
        else:
            report = ProgressReport(
                execution_id=attempts[0].id,
                attempt=attempts[0].attempt,
                claim_token=attempts[0].claim_token,
                percent=1.0,
                message=None,
            )
            storage.report_progress([report])
        assert connection.execute("SELECT mode FROM modes").fetchall() == [(mode,)]
        storage.close()


def test_times_come_in_utc_whatever_the_zone_of_the_session(database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone TO ''Asia/Kathmandu''', "
            "current_database()); END $$"
        )
    storage = PostgresStorage(database_url)
    (attempt,) = start_many(storage, 1)
    execution = storage.get(attempt.id)
    assert execution.created_at.utcoffset().total_seconds() == 0
    assert execution.started_at.utcoffset().total_seconds() == 0
    assert abs(execution.created_at.timestamp() - time.time()) < 60
    storage.close()


def test_a_repeated_heartbeat_batch_tells_lost_and_stopped_from_living(storage):
    living, lost, stopped = (add_worker(storage) for _ in range(3))
    storage.lose_worker(lost)
    storage.stop_worker(stopped)
    replies = storage.heartbeat([living, lost, stopped, new_id(), "no uuid"])
    assert [reply.lost for reply in replies] == [False, True, True, True, True]


# Settings


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"command_timeout_s": 0}, "command_timeout_s must be > 0, got 0"),
        (
            {"retention_days": -1},
            "retention_days must be days, > 0 and <= 36525, or a Retention, got -1",
        ),
        ({"pool_size": 0}, "pool_size must be > 0, got 0"),
        ({"migrate": "always"}, 'migrate must be "never" or "auto", got \'always\''),
    ],
)
def test_a_setting_out_of_range_is_refused_when_the_storage_is_made(options, expected):
    with pytest.raises(InvalidOption) as caught:
        PostgresStorage("postgresql://nowhere/x", **options)
    assert str(caught.value) == expected


def test_making_a_storage_neither_connects_nor_loads_the_driver():
    program = (
        "import sys; from butler.storage.postgres import PostgresStorage; "
        "PostgresStorage('postgresql://nowhere.invalid/x'); "
        "print([m for m in ('psycopg', 'psycopg_pool') if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stdout == "[]\n"


def test_losing_a_prepared_statement_is_survived_and_ends_their_use(storage, caplog):
    insert_many(storage, 1)
    connection, pool = storage._connections._checkout(time.monotonic() + 5, sent=False)
    connection.pgconn.exec_(b"DEALLOCATE ALL")  # as a pooler does that changes servers
    pool.putconn(connection)

    with caplog.at_level(logging.INFO, logger="butler.storage"):
        insert_many(storage, 1)
        insert_many(storage, 1)

    assert [r.getMessage().partition(" on ")[0] for r in caplog.records] == [
        "no prepared statements"
    ]
    assert not storage._connections._prepared
