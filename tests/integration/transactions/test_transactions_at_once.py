"""What a transaction enqueued is on its queue when that commits: the stager hears of it.

The stager is made to look by itself once an hour, so that nothing but a notice can be why.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from butler_scheduler import stager as stager_module
from butler_scheduler.leader import Leader
from butler_scheduler.stager import Stager
from postgres_scenes import until
from transaction_scenes import Order, new_butler

from butler.executions import ExecutionStatus
from butler.queues import QueueWire
from butler.storage.postgres import PostgresStorage, leader
from butler.storage.postgres.due_listener import EVERYTHING, DueListener

S = ExecutionStatus
AN_HOUR = 3600.0


@pytest.fixture
def deaf(monkeypatch):
    """Without notices, nothing is looked at for an hour."""
    monkeypatch.setattr(stager_module, "LOOK_EVERY_S", AN_HOUR)
    monkeypatch.setattr(leader, "_WHOLE_LOOK_EVERY_S", AN_HOUR)


@pytest.fixture
def scene(redis_url, database_url):
    butler, ship, bill = new_butler(redis_url, database_url)
    with butler:
        yield butler, ship, bill


@pytest.fixture
def stage(butler):
    """Starts a stager that leads, on a storage; stopped afterwards."""
    started = []

    def start(storage):
        seat = Leader(storage, holder="us", lease_s=1e9)
        seat.tick(0)
        wire = QueueWire(butler.redis, ledger_id=storage.ledger_id())
        stager = Stager(storage, wire=wire, leader=seat)
        stager.start()
        started.append(stager)
        return stager

    yield start
    for stager in started:
        assert stager.stop()


def listening(database_url):
    """Whether somebody listens in this database."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        )
        return found.fetchone()[0] > 0


def waiting(butler, queue="shipping"):
    return butler.wire.depth(queue)


def test_it_is_queued_at_the_commit(deaf, butler, ship, connection, database_url, stage):
    stage(butler.storage)
    until(lambda: listening(database_url))
    handle = ship.enqueue(Order(), transaction=connection)
    assert waiting(butler) == 0
    connection.commit()
    until(lambda: waiting(butler) == 1)
    assert handle.status is S.QUEUED


def test_a_transaction_that_took_long_lies_behind_the_floor_and_is_found_all_the_same(
    deaf, butler, ship, connection, database_url, stage
):
    stage(butler.storage)
    until(lambda: listening(database_url))
    late = ship.enqueue(Order(n=1), transaction=connection)
    with psycopg.connect(database_url) as other:
        for n in range(3):
            ship.enqueue(Order(n=n), transaction=other)
            other.commit()
            until(lambda n=n: waiting(butler) == n + 1)
    floor = butler.storage._leader._floor
    connection.commit()
    assert late.execution().run_at < floor
    until(lambda: waiting(butler) == 4)
    assert late.status is S.QUEUED


def test_what_is_due_a_little_later_is_queued_then(
    deaf, butler, ship, connection, database_url, stage
):
    stage(butler.storage)
    until(lambda: listening(database_url))
    handle = ship.enqueue(Order(), delay_s=0.3, transaction=connection)
    connection.commit()
    until(lambda: waiting(butler) == 1)
    execution = handle.execution()
    assert execution.queued_at - execution.created_at > timedelta(seconds=0.29)


def test_the_sql_function_is_heard_too(deaf, butler, ship, connection, database_url, stage):
    stage(butler.storage)
    until(lambda: listening(database_url))
    connection.execute(*ship.statement(Order(), placeholders="%s"))
    connection.commit()
    until(lambda: waiting(butler) == 1)


def test_a_rollback_wakes_nobody(deaf, butler, ship, connection, database_url, stage):
    stage(butler.storage)
    until(lambda: listening(database_url))
    heard = []
    butler.storage._leader.hear = heard.append
    ship.enqueue(Order(), transaction=connection)
    connection.rollback()
    marker = ship.enqueue(Order(), transaction=connection, delay_s=30)
    connection.commit()
    until(lambda: heard)
    # A word of the one that was rolled back would come first, and name a time 30 s earlier.
    assert abs(heard[0] - marker.execution().run_at) < timedelta(seconds=1)


def test_after_its_connection_was_ended_it_hears_again_and_missed_nothing(
    deaf, butler, ship, connection, database_url, stage
):
    stage(butler.storage)
    until(lambda: listening(database_url))
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        )
    ship.enqueue(Order(), transaction=connection)
    connection.commit()
    until(lambda: waiting(butler) == 1)


def test_with_notices_off_it_is_found_by_looking(redis_url, database_url, scene, stage):
    settings = scene[0].settings.model_copy(update={"notify": False})
    quiet, ship, _ = new_butler(redis_url, database_url, settings=settings)
    with quiet, psycopg.connect(database_url) as connection:
        assert quiet.storage.listen(lambda: None) is None
        stage(quiet.storage)
        heard = psycopg.connect(database_url, autocommit=True)
        heard.execute(f'LISTEN "butler_due_{quiet.storage.ledger_id()}"')
        ship.enqueue(Order(), transaction=connection)
        connection.commit()
        until(lambda: waiting(quiet) == 1)
        assert list(heard.notifies(timeout=0)) == []
        heard.close()


# The listener


def new_listener(storage, url, on_due):
    return DueListener(
        url,
        schema="butler",
        ledger_id=storage.ledger_id(),
        place=storage._transactions.ledger_place(),
        on_due=on_due,
    )


def test_it_begins_with_everything_and_then_tells_the_earliest_time(
    butler, ship, connection, database_url
):
    heard = []
    listener = new_listener(butler.storage, database_url, heard.append)
    listener.start()
    until(lambda: heard == [EVERYTHING])
    run_at = datetime.now(UTC) - timedelta(days=1)
    ship.enqueue(Order(), transaction=connection)
    ship.enqueue(Order(), run_at=run_at, transaction=connection)
    ship.enqueue(Order(), run_at=run_at + timedelta(days=30), transaction=connection)
    connection.commit()
    until(lambda: len(heard) > 1)
    assert min(heard[1:]) == run_at
    listener.close()
    listener.close()


def test_what_somebody_else_says_on_the_channel_is_news_and_no_error(
    butler, connection, database_url
):
    heard = []
    listener = new_listener(butler.storage, database_url, heard.append)
    listener.start()
    until(lambda: heard == [EVERYTHING])
    channel = f"butler_due_{butler.storage.ledger_id()}"
    for said in ("", "hello", "2026-01-01"):
        connection.execute("SELECT pg_notify(%s, %s)", (channel, said))
    connection.commit()
    until(lambda: len(heard) > 1)
    assert set(heard) == {EVERYTHING}
    listener.close()


def test_another_ledger_is_not_listened_to(butler, new_database, caplog):
    heard = []
    with new_database() as url, caplog.at_level(logging.WARNING, "butler.storage"):
        listener = new_listener(butler.storage, url, heard.append)
        listener.start()
        until(lambda: not listener._thread.is_alive())
        listener.close()
    assert heard == []
    assert "another ledger is there" in caplog.text
    assert "BUTLER_DATABASE_DIRECT_URL" in caplog.text


def test_a_server_that_is_away_is_tried_again_and_holds_nobody_up(butler, caplog):
    with caplog.at_level(logging.WARNING, "butler.storage"):
        url = "postgresql://me:hush@127.0.0.1:1/x"
        listener = new_listener(butler.storage, url, lambda _: None)
        listener.start()
        until(lambda: "due_listener.reconnecting" in caplog.text)
        began = time.monotonic()
        listener.close()
        assert time.monotonic() - began < 5
    assert "hush" not in caplog.text


def test_the_direct_url_is_where_it_listens(butler, database_url):
    storage = PostgresStorage("postgresql://nowhere:1/x", direct_url=database_url)
    assert storage._direct_url == database_url
    assert PostgresStorage(database_url)._direct_url == database_url
