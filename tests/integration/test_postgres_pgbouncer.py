"""The ledger behind PgBouncer in transaction mode, where the next statement has another session.

Two server connections for four storages: whatever one of them left in a session would reach the
others.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pgbouncer
import psycopg
import pytest
from fleet import Fleet
from fleet_app import tasks
from postgres_scenes import add_worker, in_thread, insert_many, new_execution, start_many, until

from butler import Butler, lifecycle
from butler.executions import ErrorRecord, ExecutionStatus
from butler.ids import new_token
from butler.retries import RetryPolicy
from butler.storage.migrate import migrate
from butler.storage.postgres import PostgresStorage
from butler.storage.records import Claim, ExecutionQuery, ProgressReport

_S = ExecutionStatus
BOOM = ErrorRecord(type="ValueError", message="boom")


@pytest.fixture
def pooled_url(database_url, tmp_path_factory):
    """The same database, through a PgBouncer of this test's own."""
    if pgbouncer.find_program() is None:
        pytest.skip("pgbouncer is not installed: apt-get install pgbouncer")
    with pgbouncer.pooled(database_url, tmp_path_factory.mktemp("pgb"), sessions=2) as url:
        yield url


@pytest.fixture
def storages(pooled_url):
    storages = [PostgresStorage(pooled_url, command_timeout_s=20) for _ in range(4)]
    for storage in storages:
        storage.prepare()
    yield storages
    for storage in storages:
        storage.close()


def live(storage):
    """Lead ten executions through many statements; what each one became."""
    first, second, third, fourth = start_many(storage, 4)
    storage.report_progress(
        [
            ProgressReport(
                execution_id=each.id,
                attempt=each.attempt,
                claim_token=each.claim_token,
                percent=50.0,
                message="half",
            )
            for each in (first, second)
        ]
    )
    storage.finish([lifecycle.succeed(first, result='"ok"')])
    storage.finish(
        [
            lifecycle.succeed(second, result="NaN"),
            lifecycle.fail_or_retry(third, error=BOOM, policy=RetryPolicy(), random=1.0),
        ]
    )
    storage.cancel([third.id, fourth.id])
    storage.retry([third.id])
    waiting = insert_many(storage, 6)
    storage.cancel(waiting[:3])
    storage.delete(waiting[:1])
    ids = [first.id, second.id, third.id, fourth.id, *waiting]
    found = [storage.get(id_) for id_ in ids]
    return [execution and str(execution.status) for execution in found]


def test_four_storages_share_two_sessions(storages):
    joins = [in_thread(lambda storage=storage: live(storage)) for storage in storages * 2]
    for join in joins:
        assert join() == [
            "succeeded",
            "failed",
            "queued",
            "running",
            None,
            "cancelled",
            "cancelled",
            "queued",
            "queued",
            "queued",
        ]


def test_what_a_claim_sets_does_not_stay_in_the_session(pooled_url, database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit TO on', "
            "current_database()); END $$"
        )
    for _ in range(4):
        storage = PostgresStorage(pooled_url)
        start_many(storage, 3)
        storage.close()
    with psycopg.connect(pooled_url, autocommit=True, prepare_threshold=None) as connection:
        for _ in range(4):
            assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)


def test_racing_claims_through_the_pooler_win_each_execution_once(storages):
    ids = insert_many(storages[0], 200)
    workers = [add_worker(storage) for storage in storages]

    def claim(storage, worker_id):
        return storage.claim(Claim(worker_id=worker_id, token=new_token(), ids=ids))

    joins = [
        in_thread(lambda pair=pair: claim(*pair)) for pair in zip(storages, workers, strict=True)
    ]
    won = [claimed.id for join in joins for claimed in join().won]

    assert sorted(won) == sorted(ids)
    assert storages[0].count(ExecutionQuery()) == {_S.RUNNING: 200}


def test_migrations_run_through_the_pooler(pooled_url):
    joins = [in_thread(lambda: migrate(pooled_url, schema="other")) for _ in range(2)]
    assert sorted(name for join in joins for name in join()) == migrate_names()
    storage = PostgresStorage(pooled_url, schema="other")
    storage.prepare()
    assert storage.insert([new_execution(unique_key="k")])[0].created
    storage.close()


def migrate_names():
    from butler.storage.migrate import known_migrations

    return [migration.name for migration in known_migrations()]


def test_a_pooler_is_noticed_before_anything_is_prepared(pooled_url, database_url):
    """Clients number their statements alike: in a shared session one runs another's."""
    pooled = PostgresStorage(pooled_url)
    direct = PostgresStorage(database_url)
    for storage, prepared in ((pooled, False), (direct, True)):
        storage.ledger_id()
        assert storage._connections._prepared is prepared
        for _ in range(3):
            start_many(storage, 3)
        storage.close()
    with psycopg.connect(pooled_url, autocommit=True, prepare_threshold=None) as connection:
        for _ in range(4):
            statements = connection.execute("SELECT count(*) FROM pg_prepared_statements")
            assert statements.fetchone() == (0,)


def test_a_listener_behind_the_pooler_gives_up_and_says_what_to_set(storages, pooled_url, caplog):
    listener = storages[0].listen(lambda: None)
    until(lambda: not listener._thread.is_alive())
    listener.close()
    assert "a connection pooler stands before it" in caplog.text
    assert "BUTLER_DATABASE_DIRECT_URL" in caplog.text


def test_a_transaction_through_the_pooler_carries_an_enqueue_and_leaves_nothing_in_the_session(
    storages, pooled_url, redis_url
):
    from butler import Butler

    with Butler(redis_url, storage=storages[0]) as butler:

        @butler.task(unique_key="k")
        def noop() -> None: ...

        with psycopg.connect(pooled_url, prepare_threshold=None) as connection:
            handle = noop.enqueue(transaction=connection)
            assert butler.get(handle.id) is None
            connection.commit()
            assert handle.status is _S.SCHEDULED
            assert connection.execute("SHOW lock_timeout").fetchone() == ("0",)


def test_a_fleet_works_and_is_checked_through_the_pooler(pooled_url, redis_url, tmp_path):
    """The real commands, two sessions for all of them together."""
    fleet = Fleet(redis_url=redis_url, database_url=pooled_url, folder=tmp_path)
    fleet.start_worker(processes=2)
    fleet.start_scheduler()
    try:
        with Butler(redis_url, pooled_url) as butler:
            for task in tasks:
                butler.register(task)
            handles = butler.enqueue_many([("work", {"n": n}) for n in range(200)])
            handles.append(butler.enqueue("work", {"n": 200}, delay_s=0.2))
            assert [handle.result(timeout_s=60) for handle in handles] == list(range(201))
            checked = subprocess.run(
                [sys.executable, "-m", "butler", "check", "--json"],
                env=fleet.environment,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
            )
    finally:
        fleet.end()
    assert checked.returncode == 0, checked.stdout + checked.stderr
    found = {finding["topic"]: finding for finding in json.loads(checked.stdout)["findings"]}
    assert "nothing is prepared" in found["pooler"]["found"]
    assert "the pooler shares them out" in found["connections"]["found"]
    assert "ERROR" not in fleet.logs()
