"""Unique keys, replacing and async connections within a user's transaction."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import psycopg
import pytest
from postgres_scenes import until
from transaction_scenes import Order, ids, new_butler, rows_of
from transactions_kit import ACTIVE, _impatient, insert_order

from butler.errors import (
    ExecutionNotFound,
    TransactionRefused,
    UniqueKeyBusy,
    WaitTimeout,
)

# Unique keys


def test_a_held_key_gives_the_holder(bill, connection):
    first = bill.enqueue(Order(n=1))
    second = bill.enqueue(Order(n=1), transaction=connection)
    assert (second.id, second.created) == (first.id, False)


def test_a_key_is_held_from_the_commit_on(bill, connection):
    first = bill.enqueue(Order(n=1), transaction=connection)
    again = bill.enqueue(Order(n=1), transaction=connection)
    assert (again.id, again.created) == (first.id, False)
    connection.commit()
    assert bill.enqueue(Order(n=1)).id == first.id


def test_a_key_that_was_rolled_back_is_free(bill, connection):
    first = bill.enqueue(Order(n=1), transaction=connection)
    connection.rollback()
    second = bill.enqueue(Order(n=1))
    assert second.created
    assert second.id != first.id


def test_the_end_of_the_holder_frees_the_key_for_a_transaction(butler, bill, connection):
    first = bill.enqueue(Order(n=1))
    connection.execute("SELECT 1")
    butler.cancel(first.id)
    assert bill.enqueue(Order(n=1), transaction=connection).created


def test_a_key_in_an_open_transaction_is_busy_for_others_and_they_can_go_on(
    redis_url, database_url, scene, connection
):
    butler, _, bill = new_butler(redis_url, database_url, settings=_impatient(scene[0]))
    with butler, psycopg.connect(database_url) as other:
        bill.enqueue(Order(n=1), transaction=connection)
        insert_order(other, 5)
        other.execute("SET LOCAL lock_timeout = '7s'")
        with pytest.raises(UniqueKeyBusy, match=r"'order-1' of 'Bill'.*within 0\.1 s"):
            bill.enqueue(Order(n=1), transaction=other)
        with pytest.raises(UniqueKeyBusy):
            bill.enqueue(Order(n=1))
        with pytest.raises(UniqueKeyBusy, match="one of 2 unique keys"):
            butler.enqueue_many([(bill, Order(n=1)), (bill, Order(n=2))], transaction=other)
        assert other.execute("SHOW lock_timeout").fetchone() == ("7s",)
        bill.enqueue(Order(n=2), transaction=other)
        other.commit()
        connection.rollback()
        assert bill.enqueue(Order(n=1)).created
    assert rows_of(database_url) == [5]


def test_a_short_transaction_is_waited_for(bill, connection):
    first = bill.enqueue(Order(n=1), transaction=connection)
    outcomes = []
    waiting = threading.Thread(target=lambda: outcomes.append(bill.enqueue(Order(n=1))))
    waiting.start()
    connection.commit()
    waiting.join(30)
    assert [(first.id, False)] == [(handle.id, handle.created) for handle in outcomes]


def test_two_transactions_that_want_each_others_keys_are_told_and_can_go_on(
    redis_url, database_url, scene, connection
):
    butler, _, bill = new_butler(redis_url, database_url, settings=_impatient(scene[0]))
    with butler, psycopg.connect(database_url) as other:
        bill.enqueue(Order(n=1), transaction=connection)
        bill.enqueue(Order(n=2), transaction=other)
        for n, asking in ((2, connection), (1, other)):
            with pytest.raises(UniqueKeyBusy):
                bill.enqueue(Order(n=n), transaction=asking)
        connection.commit()
        other.commit()
        assert len(ids(butler)) == 2


def test_replacing_in_a_transaction_takes_effect_with_it(bill, connection):
    first = bill.enqueue(Order(n=1), delay_s=60)
    second = bill.enqueue(
        Order(n=1), delay_s=120, replace=True, user_id="u", transaction=connection
    )
    assert (second.id, second.created, second.replaced) == (first.id, False, True)
    assert first.execution().user_id is None
    connection.commit()
    execution = first.execution()
    assert execution.user_id == "u"
    assert execution.run_at - execution.created_at > timedelta(seconds=100)


def test_what_a_transaction_is_replacing_is_busy_for_others(
    redis_url, database_url, scene, connection
):
    butler, _, bill = new_butler(redis_url, database_url, settings=_impatient(scene[0]))
    with butler, psycopg.connect(database_url) as other:
        bill.enqueue(Order(n=1), delay_s=60)
        assert bill.enqueue(Order(n=1), replace=True, transaction=connection).replaced
        with pytest.raises(UniqueKeyBusy):
            bill.enqueue(Order(n=1), replace=True)
        with pytest.raises(UniqueKeyBusy):
            bill.enqueue(Order(n=1), replace=True, transaction=other)
        assert not bill.enqueue(Order(n=1)).replaced
        connection.commit()
        assert bill.enqueue(Order(n=1), replace=True, delay_s=60).replaced


def test_a_ledger_that_has_moved_is_recognised(butler, ship, connection):
    butler.storage._transactions._place = "where it was before"
    ship.enqueue(Order(), transaction=connection)
    connection.commit()
    assert len(ids(butler)) == 1


def test_what_is_queued_is_not_replaced_in_a_transaction(bill, connection):
    first = bill.enqueue(Order(n=1))
    second = bill.enqueue(Order(n=1), replace=True, transaction=connection)
    assert (second.id, second.created, second.replaced) == (first.id, False, False)


def test_a_serializable_transaction_hears_of_its_own_failure(bill, connection, database_url):
    connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
    connection.execute("SELECT 1")
    bill.enqueue(Order(n=1))
    with pytest.raises(psycopg.errors.SerializationFailure):
        bill.enqueue(Order(n=1), transaction=connection)
    connection.rollback()
    assert not bill.enqueue(Order(n=1), transaction=connection).created


# Coroutines


def test_an_async_connection_joins_through_aenqueue(butler, ship, database_url):
    async def main():
        async with await psycopg.AsyncConnection.connect(database_url) as connection:
            await connection.execute("INSERT INTO orders VALUES (1)")
            handle = await ship.aenqueue(Order(n=1), transaction=connection)
            async with connection.cursor() as cursor:
                more = await butler.aenqueue_many([(ship, Order(n=2))] * 2, transaction=cursor)
            assert await butler.aio.get(handle.id) is None
            await connection.commit()
            gone = await ship.aenqueue(Order(n=3), transaction=connection)
            await connection.rollback()
            with pytest.raises(ExecutionNotFound, match="rolled back"):
                await gone.aresult()
            open_ = await ship.aenqueue(Order(n=3), transaction=connection)
            with pytest.raises(WaitTimeout, match="still open"):
                await open_.aresult(timeout_s=0.05)
            await connection.rollback()
            return {handle.id, *(each.id for each in more)}

    assert asyncio.run(main()) == set(ids(butler))
    assert rows_of(database_url) == [1]


def test_the_event_loop_goes_on_while_a_key_is_waited_for(bill, connection, database_url):
    bill.enqueue(Order(n=1), transaction=connection)

    async def main():
        async with await psycopg.AsyncConnection.connect(database_url) as other:
            waiting = asyncio.create_task(bill.aenqueue(Order(n=1), transaction=other))
            await asyncio.sleep(0.05)
            connection.rollback()
            assert (await waiting).created

    asyncio.run(main())


def test_a_cancelled_coroutine_leaves_nothing_running_on_its_connection(
    butler, bill, connection, database_url
):
    bill.enqueue(Order(n=1), transaction=connection)

    async def main():
        async with await psycopg.AsyncConnection.connect(database_url) as other:
            await other.execute("SELECT 1")
            waiting = asyncio.create_task(bill.aenqueue(Order(n=1), transaction=other))
            await asyncio.to_thread(lambda: until(lambda: other.info.transaction_status == ACTIVE))
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert other.info.transaction_status != ACTIVE
            await other.rollback()
            connection.rollback()
            await other.execute("SELECT 1")
            await other.commit()

    asyncio.run(main())
    assert ids(butler) == []


def test_the_two_kinds_of_connections_are_not_mixed_up(ship, connection, database_url):
    with pytest.raises(TransactionRefused, match=r"blocking connection.*call enqueue\("):
        asyncio.run(ship.aenqueue(Order(), transaction=connection))

    async def main():
        async with await psycopg.AsyncConnection.connect(database_url) as other:
            with pytest.raises(TransactionRefused, match=r"await task\.aenqueue"):
                await asyncio.to_thread(lambda: ship.enqueue(Order(), transaction=other))

    asyncio.run(main())


def test_an_async_connection_in_autocommit_is_refused(ship, database_url):
    async def main():
        connecting = psycopg.AsyncConnection.connect(database_url, autocommit=True)
        async with await connecting as connection:
            with pytest.raises(TransactionRefused, match="autocommit"):
                await ship.aenqueue(Order(), transaction=connection)

    asyncio.run(main())
