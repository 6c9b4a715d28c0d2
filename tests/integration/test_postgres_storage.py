"""What only the ledger in PostgreSQL can go through: lost replies, restarts, locks, bad values."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap
import time

import psycopg
import pytest
from postgres_scenes import (
    LossyProxy,
    add_worker,
    in_thread,
    insert_many,
    new_execution,
    start_many,
    until,
)

from butler import lifecycle
from butler.errors import EnqueueUnknown, InvalidOption, SettingsError, StorageUnavailable
from butler.executions import AttemptOutcome, ErrorRecord, ExecutionStatus
from butler.ids import new_id, new_token
from butler.retries import RetryPolicy
from butler.storage.postgres import PostgresStorage
from butler.storage.records import Claim, ExecutionQuery, ProgressReport

_S = ExecutionStatus


@pytest.fixture
def storage(database_url):
    storage = PostgresStorage(database_url, command_timeout_s=20)
    yield storage
    storage.close()


@pytest.fixture
def proxy(database_url):
    proxy = LossyProxy(database_url)
    yield proxy
    proxy.close()


@pytest.fixture
def behind_proxy(proxy):
    """A storage whose replies can get lost; one connection, so that the next reply is ours."""
    storage = PostgresStorage(proxy.url, command_timeout_s=20, pool_size=1)
    yield storage
    storage.close()


def count_by_status(database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        rows = connection.execute("SELECT status, count(*) FROM butler.executions GROUP BY status")
        return dict(rows.fetchall())


# Replies that get lost


def test_a_claim_whose_reply_was_lost_returns_what_it_won(behind_proxy, proxy):
    worker_id = add_worker(behind_proxy)
    ids = insert_many(behind_proxy, 50)
    proxy.swallow_replies = 1

    reply = behind_proxy.claim(Claim(worker_id=worker_id, token=new_token(), ids=ids))

    assert proxy.swallow_replies == 0
    assert [claimed.id for claimed in reply.won] == list(ids)
    assert {claimed.attempt for claimed in reply.won} == {1}
    assert reply.refused == ()


def test_a_finish_whose_reply_was_lost_knows_its_own_work(behind_proxy, proxy):
    first, second, third = start_many(behind_proxy, 3)
    boom = ErrorRecord(type="ValueError", message="boom")
    proxy.swallow_replies = 1

    replies = behind_proxy.finish(
        [
            lifecycle.succeed(first, result='"ok"'),
            lifecycle.fail_or_retry(second, error=boom, policy=RetryPolicy(), random=1.0),
            lifecycle.lose(third, reason="its host is gone"),
        ]
    )

    assert proxy.swallow_replies == 0
    assert [(reply.applied, reply.status) for reply in replies] == [
        (True, _S.SUCCEEDED),
        (True, _S.RETRYING),
        (True, _S.QUEUED),
    ]
    assert behind_proxy.get(second.id).attempt == 1
    assert [a.outcome for a in behind_proxy.get(third.id).attempts] == [AttemptOutcome.LOST]


def test_an_insert_whose_reply_was_lost_is_written_once(behind_proxy, proxy, database_url):
    insert_many(behind_proxy, 1)
    new = new_execution()
    proxy.swallow_replies = 1

    (reply,) = behind_proxy.insert([new])

    assert (reply.id, reply.created, reply.status) == (new.id, True, _S.QUEUED)
    assert count_by_status(database_url) == {"queued": 2}


def test_an_insert_with_a_unique_key_whose_reply_was_lost_is_not_its_own_duplicate(
    behind_proxy, proxy, database_url
):
    insert_many(behind_proxy, 1, unique_key="another")
    new = new_execution(unique_key="invoice-7")
    proxy.swallow_replies = 1

    (reply,) = behind_proxy.insert([new])

    assert (reply.id, reply.created) == (new.id, True)
    assert count_by_status(database_url) == {"queued": 2}


def test_leadership_taken_in_a_reply_that_was_lost_is_held(behind_proxy, proxy):
    observed = behind_proxy.leadership()
    proxy.swallow_replies = 1

    epoch = behind_proxy.take_leadership("scheduler-1", observed=observed)

    assert proxy.swallow_replies == 0
    assert epoch == observed.epoch + 1
    assert behind_proxy.renew_leadership("scheduler-1", epoch=epoch)


def test_an_insert_whose_commit_cannot_be_asked_after_is_unknown(proxy, database_url):
    storage = PostgresStorage(proxy.url, command_timeout_s=1, pool_size=1)
    insert_many(storage, 1)
    new = new_execution()
    proxy.then_shut = True
    proxy.swallow_replies = 1

    with pytest.raises(EnqueueUnknown) as caught:
        storage.insert([new])

    assert caught.value.execution_ids == (new.id,)
    assert count_by_status(database_url) == {"queued": 2}
    storage.close()


def test_a_ledger_that_was_never_reached_says_so_without_the_password(proxy):
    proxy.shut()
    storage = PostgresStorage(proxy.url, command_timeout_s=0.5)

    with pytest.raises(StorageUnavailable) as caught:
        storage.insert([new_execution()])

    message = str(caught.value)
    assert not isinstance(caught.value, EnqueueUnknown)
    assert "127.0.0.1" in message
    assert "Connection refused" in message
    assert "nothing was changed" in message
    assert "secret" not in message
    storage.close()


def test_a_wrong_database_is_reported_at_once(database_url):
    storage = PostgresStorage(database_url.replace("/test_", "/no_such_test_"))
    started_s = time.monotonic()

    with pytest.raises(StorageUnavailable, match=r"no_such_test_.* does not exist"):
        storage.ledger_id()

    assert time.monotonic() - started_s < 10
    storage.close()


def test_a_url_that_cannot_be_read_is_reported_without_its_password():
    storage = PostgresStorage("postgresql://me:hush@host:port:5432/x?nonsense=1")

    with pytest.raises(SettingsError) as caught:
        storage.ledger_id()

    assert "hush" not in str(caught.value)
    assert "nonsense" in str(caught.value)


# Servers that stop, stall or restart


def test_everything_goes_on_after_the_server_was_killed_and_started_again(own_services):
    storage = PostgresStorage(own_services.database_url, migrate="auto", command_timeout_s=30)
    storage.prepare()
    (claimed,) = start_many(storage, 1)
    insert_many(storage, 1)  # a synchronous commit, or the crash could undo the claim

    own_services.postgres.kill()
    finishing = in_thread(lambda: storage.finish([lifecycle.succeed(claimed, result='"ok"')]))
    own_services.postgres.start()

    (reply,) = finishing()
    assert (reply.applied, reply.status) == (True, _S.SUCCEEDED)
    assert len(start_many(storage, 5)) == 5
    storage.close()


def test_a_statement_that_cannot_end_is_given_up_in_time_and_ended_on_the_server(
    storage, database_url
):
    (claimed,) = start_many(storage, 1)
    hasty = PostgresStorage(database_url, command_timeout_s=0.5)
    with psycopg.connect(database_url) as holder:
        holder.execute("SELECT FROM butler.executions FOR UPDATE")
        started_s = time.monotonic()

        with pytest.raises(StorageUnavailable, match=r"within 0\.5 s"):
            hasty.finish([lifecycle.succeed(claimed, result=None)])

        assert time.monotonic() - started_s < 5
        until(lambda: _waiting_for_locks(database_url) == 0)
    assert storage.get(claimed.id).status is _S.RUNNING
    hasty.close()


def _waiting_for_locks(database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        (number,) = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND wait_event_type = 'Lock'"
        ).fetchone()
        return number


def test_all_connections_busy_is_told_from_a_ledger_that_is_away(database_url):
    storage = PostgresStorage(database_url, command_timeout_s=0.5, pool_size=1)
    connection, pool = storage._connections._checkout(time.monotonic() + 5, sent=False)
    try:
        with pytest.raises(StorageUnavailable, match="all 1 connections of this process are busy"):
            storage.leadership()
    finally:
        pool.putconn(connection)
    assert storage.leadership().epoch == 0
    storage.close()


def test_a_forked_child_opens_connections_of_its_own(database_url):
    program = """
        import os, sys
        from butler.storage.postgres import PostgresStorage
        from butler.storage.records import ExecutionQuery

        storage = PostgresStorage(sys.argv[1])
        storage.ledger_id()
        child = os.fork()
        if child == 0:
            try:
                assert storage.leadership().epoch == 0
                assert storage.count(ExecutionQuery()) == {}
            except BaseException as error:
                print("child:", repr(error))
                os._exit(1)
            storage.close()
            os._exit(0)
        for _ in range(20):
            assert storage.leadership().epoch == 0
        _, status = os.waitpid(child, 0)
        assert status == 0, status
        assert storage.leadership().epoch == 0
        storage.close()
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), database_url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, ""), run.stderr


def test_a_storage_that_nobody_closes_does_not_keep_a_program_from_ending(database_url):
    program = (
        "import sys; from butler.storage.postgres import PostgresStorage; "
        "print(len(PostgresStorage(sys.argv[1]).ledger_id()))"
    )
    started_s = time.monotonic()
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, database_url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "36\n", "")
    assert time.monotonic() - started_s < 20


def test_closing_twice_is_fine_and_a_closed_storage_connects_again(storage):
    ledger_id = storage.ledger_id()
    storage.close()
    storage.close()
    assert storage.leadership().epoch == 0
    assert storage.ledger_id() == ledger_id


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
        ({"retention_days": -1}, "retention_days must be > 0, got -1"),
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
