"""The ledger in PostgreSQL when replies get lost, and servers stall, die or cannot be reached."""

from __future__ import annotations

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
from butler.errors import EnqueueUnknown, SettingsError, StorageUnavailable
from butler.executions import AttemptOutcome, ErrorRecord, ExecutionStatus
from butler.ids import new_token
from butler.retries import RetryPolicy
from butler.storage.postgres import PostgresStorage
from butler.storage.records import Claim

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

    with pytest.raises(StorageUnavailable, match=r"cannot be used: .*no_such_test_.* not exist"):
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
