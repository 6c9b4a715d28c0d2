"""``task.statement(request)`` for every other driver, and the SQL function by hand."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from pydantic import BaseModel, Field
from transaction_scenes import Order, ids, new_butler, rows_of

from butler import Task
from butler.errors import DefinitionError, InvalidOption, InvalidRequest, TransactionRefused
from butler.executions import ExecutionStatus

S = ExecutionStatus


def with_asyncpg(database_url, work):
    """What ``work(connection)`` returns."""

    async def main():
        options = conninfo_to_dict(database_url)
        connection = await asyncpg.connect(
            host=options["host"], user=options["user"], database=options["dbname"]
        )
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(main())


# The statement


def test_with_asyncpg_it_commits_and_rolls_back_with_the_users_rows(butler, ship, database_url):
    run_at = datetime(2040, 1, 1, tzinfo=UTC)
    sql, params = ship.statement(
        Order(n=1),
        run_at=run_at,
        expires_at=run_at + timedelta(days=1),
        priority="low",
        unique_key="k",
        replace=True,
        tags=["b"],
        user_id="u",
        max_attempts=2,
        timeout_s=1.5,
    )

    async def work(connection):
        async with connection.transaction():
            await connection.execute("INSERT INTO orders VALUES (1)")
            kept = await connection.fetchval(sql, *params)
        rolled_back = connection.transaction()
        await rolled_back.start()
        await connection.fetchval(*_flat(ship.statement(Order(n=2))))
        await rolled_back.rollback()
        return kept

    id_ = str(with_asyncpg(database_url, work))
    assert ids(butler) == [id_]
    assert rows_of(database_url) == [1]
    execution = ship.handle(id_).execution()
    assert (execution.status, execution.request) == (S.SCHEDULED, {"n": 1})
    assert (execution.run_at, execution.expires_at) == (run_at, run_at + timedelta(days=1))
    assert (execution.queue, execution.priority, execution.unique_key) == ("shipping", "low", "k")
    assert (execution.tags, execution.user_id) == (("a", "b"), "u")
    assert (execution.max_attempts, execution.timeout_s) == (2, 1.5)


def _flat(statement):
    sql, params = statement
    return (sql, *params)


def test_all_its_parameters_are_texts(ship):
    sql, params = ship.statement(Order(n=1), delay_s=3)
    assert {type(param) for param in params} == {str}
    assert f"${len(params)}" in sql
    assert f"${len(params) + 1}" not in sql


def test_with_percent_placeholders_it_runs_on_dbapi_drivers(butler, ship, connection):
    sql, params = ship.statement(Order(n=1), placeholders="%s")
    (id_,) = connection.execute(sql, params).fetchone()
    connection.commit()
    assert ids(butler) == [str(id_)]


def test_run_twice_it_writes_one_execution(butler, ship, bill, connection):
    for task in (ship, bill):
        sql, params = task.statement(Order(n=1), placeholders="%s")
        first = connection.execute(sql, params).fetchone()
        connection.commit()
        assert connection.execute(sql, params).fetchone() == first
        connection.commit()
    assert len(ids(butler)) == 2


def test_it_returns_the_holder_of_the_unique_key(bill, connection):
    holder = bill.enqueue(Order(n=1))
    sql, params = bill.statement(Order(n=1), placeholders="%s")
    assert connection.execute(sql, params).fetchone() == (uuid.UUID(holder.id),)


def test_a_busy_key_is_the_drivers_own_error(redis_url, database_url, scene, bill, connection):
    settings = scene[0].settings.model_copy(update={"unique_wait_s": 0.05})
    impatient, _, its_bill = new_butler(redis_url, database_url, settings=settings)
    bill.enqueue(Order(n=1), transaction=connection)
    with impatient, psycopg.connect(database_url) as other:
        sql, params = its_bill.statement(Order(n=1), placeholders="%s")
        with pytest.raises(psycopg.errors.LockNotAvailable, match=r'key "order-1" of "Bill" is be'):
            other.execute(sql, params)


def test_it_checks_the_request_and_options_as_enqueue_does(butler, ship):
    with pytest.raises(InvalidRequest):
        butler.statement(ship, {"n": "x"})
    with pytest.raises(InvalidOption, match="queue must be"):
        ship.statement(Order(), queue="a.b")
    with pytest.raises(InvalidOption, match="transaction"):
        ship.statement(Order(), transaction=object())
    with pytest.raises(InvalidOption, match=r'placeholders must be "\$1" or "%s", got \':x\''):
        ship.statement(Order(), placeholders=":x")


def test_a_task_class_has_one_too(butler, connection):
    class Mail(Task[Order, int]):
        def execute(self, request, context):
            return 1

    butler.register(Mail)
    connection.execute(*Mail.statement(Order(), placeholders="%s"))
    connection.commit()
    assert len(ids(butler)) == 1


def test_in_memory_there_is_no_statement():
    from butler import Butler

    with Butler.in_memory() as butler:

        @butler.task
        def noop() -> None: ...

        with pytest.raises(TransactionRefused, match="MemoryStorage keeps no ledger"):
            noop.statement()
    assert issubclass(DefinitionError, TypeError)


# The function


class Parcel(BaseModel):
    tenant: str = Field("acme", alias="for")
    owner: Order = Order(n=7)
    fragile: bool = True


@pytest.fixture
def announced(butler):
    """The tasks are known to the ledger, as after a worker's start."""

    @butler.task(name="Pack", max_concurrency=2, fair_by="tenant")
    def pack(request: Parcel) -> str:
        return request.tenant

    butler.storage.register_tasks(butler.tasks())


def call(connection, arguments, *params):
    row = connection.execute(f"SELECT butler.enqueue({arguments})", params).fetchone()
    connection.commit()
    return str(row[0])


def test_by_hand_the_tasks_own_options_hold(butler, connection, announced):
    id_ = call(connection, "'Ship', '{\"n\": 1}'")
    execution = butler.get(id_)
    assert (execution.task, execution.queue, execution.max_attempts) == ("Ship", "shipping", 5)
    assert (execution.tags, execution.request, execution.status) == (("a",), {"n": 1}, S.SCHEDULED)
    assert execution.timeout_s == 300.0
    assert uuid.UUID(id_).version == 7
    made = datetime.fromtimestamp((uuid.UUID(id_).int >> 80) / 1000, tz=UTC)
    assert abs(made - execution.created_at) < timedelta(seconds=1)


def test_by_hand_options_go_over_the_tasks(butler, connection, announced):
    id_ = call(
        connection,
        "'Ship', request => %s, queue => 'mail', priority => 'high', delay_s => 60, tags => '{b,a}'"
        ", max_attempts => 2, timeout_s => 9, user_id => 'u', unique_key => 'k'"
        ", expires_at => '2040-01-01T00:00:00Z'",
        '{"n": 2}',
    )
    execution = butler.get(id_)
    assert (execution.queue, execution.priority, execution.tags) == ("mail", "high", ("a", "b"))
    assert (execution.max_attempts, execution.timeout_s, execution.user_id) == (2, 9.0, "u")
    assert execution.expires_at == datetime(2040, 1, 1, tzinfo=UTC)
    assert execution.run_at > execution.created_at + timedelta(seconds=59)
    assert call(connection, "'Ship', unique_key => 'k'") == id_


def test_by_hand_ids_are_distinct_and_in_order(connection, announced):
    made = [call(connection, "'Ship'") for _ in range(20)]
    assert len(set(made)) == 20
    assert [id_[:13] for id_ in made] == sorted(id_[:13] for id_ in made)


def test_by_hand_an_older_name_means_the_task(butler, connection):
    @butler.task(name="New Name", aliases=["Old Name"])
    def renamed() -> None: ...

    butler.storage.register_tasks(butler.tasks())
    assert butler.get(call(connection, "'Old Name'")).task == "New Name"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("'Shop'", 'no task named "Shop" is known to this ledger'),
        ("NULL", "no task named"),
        ("'Bill'", "computes its unique_key from the request: pass unique_key"),
        ("'Ship', queue => 'a.b'", "queue must be 1 to 100 letters"),
        ("'Ship', priority => 'urgent'", "priority must be high, normal or low, got 'urgent'"),
        ("'Ship', delay_s => 1, run_at => now()", "delay_s and run_at exclude each other"),
        ("'Ship', delay_s => -1", "delay_s must be in 0..315360000, got -1"),
        ("'Ship', delay_s => 'NaN'", "delay_s must be in 0..315360000, got NaN"),
        ("'Ship', timeout_s => 0", "timeout_s must be > 0"),
        ("'Ship', timeout_s => 'NaN'", "timeout_s must be > 0"),
        ("'Ship', max_attempts => 0", "max_attempts must be in 1..1000000, got 0"),
        ("'Ship', unique_key => ''", "unique_key must have 1 to 500 characters, got 0"),
        ("'Ship', user_id => repeat('u', 201)", "user_id must have 1 to 200 characters, got 201"),
        ("'Ship', replace => true", "replace needs a unique_key"),
        ("'Ship', expires_at => now(), run_at => now()", "expires_at must be later than run_at"),
        ("'Ship', concurrency_key => 'k'", "concurrency_key needs max_concurrency"),
        ("'Pack', concurrency_key => ''", "concurrency_key must have 1 to 500 characters, got 0"),
        ("'Pack', concurrency_key => 'queue:q'", 'must not begin with "queue:", got'),
        ("'Ship', fair_key => repeat('k', 501)", "fair_key must have 1 to 500 characters, got 501"),
        ("'Pack', '{\"for\": \"\"}'", "fair_key must have 1 to 500 characters, got 0"),
        ("'Ship', tags => array_fill('t'::text, '{51}')", None),
        ("'Ship', request => to_jsonb(repeat('x', 1048576))", "at most 1048576 bytes"),
    ],
)
def test_by_hand_what_cannot_be_is_refused_by_name(connection, announced, arguments, problem):
    if problem is None:  # one tag, fifty-one times
        assert call(connection, arguments)
        return
    with pytest.raises(psycopg.errors.InvalidParameterValue) as caught:
        call(connection, arguments)
    assert problem in str(caught.value)


def test_the_error_for_an_unknown_task_says_what_is_known(connection, announced):
    with pytest.raises(psycopg.errors.InvalidParameterValue) as caught:
        call(connection, "'Shop'")
    assert caught.value.diag.message_hint.endswith("Known: Bill, Pack, Ship")


# Turns and limits


def keys_of(connection, id_):
    statement = "SELECT limit_keys FROM butler.executions WHERE id = %s"
    return connection.execute(statement, (id_,)).fetchone()[0]


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        ("'Ship', '{\"n\": 1}'", None),
        ("'Ship', fair_key => 'globex'", {"fair": "globex"}),
        ("'Pack', '{\"for\": \"globex\"}'", {"fair": "globex"}),
        ("'Pack', '{\"for\": null}'", None),
        ("'Pack'", None),
        ("'Pack', '{\"for\": 5}', fair_key => 'globex'", {"fair": "globex"}),
        ("'Pack', '{}', concurrency_key => 'dock 1'", {"concurrency": "dock 1"}),
        ("'Pack', '{\"for\": 5}', concurrency_key => 'd'", {"concurrency": "d", "fair": "5"}),
        ("'Pack', '{\"for\": 5}', unique_key => 'k'", {"fair": "5"}),
    ],
)
def test_by_hand_keys_are_given_or_read_from_the_request(connection, announced, arguments, keys):
    assert keys_of(connection, call(connection, arguments)) == keys


@pytest.mark.parametrize(
    ("fair_by", "key"),
    [("owner.n", "7"), ("fragile", "true"), (lambda parcel: f"for {parcel.tenant}", None)],
)
def test_by_hand_a_queue_says_whose_turn_it_is(redis_url, database_url, connection, fair_by, key):
    butler, *_ = new_butler(redis_url, database_url, fair_by={"packing": fair_by})
    with butler:

        @butler.task(name="Pack")
        def pack(request: Parcel) -> str:
            return request.tenant

        butler.storage.register_tasks(butler.tasks())
        text = Parcel().model_dump_json(by_alias=True)
        by_hand, elsewhere = (
            call(connection, f"'Pack', %s, queue => '{queue}'", text)
            for queue in ("packing", "default")
        )
        coded = pack.enqueue(Parcel(), queue="packing").id
    found = [keys_of(connection, id_) for id_ in (by_hand, elsewhere, coded)]
    assert found[:2] == [key and {"fair": key}, None]
    assert found[2] == {"fair": key or "for acme"}


def test_a_statement_has_the_keys_that_code_made(butler, connection):
    @butler.task(
        max_concurrency=1,
        concurrency_key=lambda parcel: f"dock of {parcel.tenant}",
        fair_by=lambda parcel: parcel.tenant,
    )
    def load(request: Parcel) -> None: ...

    made, named = (
        connection.execute(*load.statement(Parcel(), placeholders="%s", **options)).fetchone()[0]
        for options in ({}, {"fair_key": "x", "concurrency_key": "dock 1"})
    )
    connection.commit()
    assert keys_of(connection, made) == {
        "concurrency": "dock of acme",
        "fair": "acme",
        "computed": True,
    }
    assert keys_of(connection, named) == {"concurrency": "dock 1", "fair": "x", "computed": True}


# Traces

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Traced:
    """Middleware that gives every order a trace."""

    def enqueue(self, orders, call_next):
        return call_next([replace(order, traceparent=TRACE) for order in orders])


def test_what_is_enqueued_in_a_transaction_carries_its_trace(butler, ship, connection):
    butler.add_middleware(Traced())
    ship.enqueue(Order(n=1), transaction=connection)
    ship.enqueue(Order(n=2), transaction=connection, unique_key="k", delay_s=60)
    ship.enqueue(Order(n=3), transaction=connection, unique_key="k", delay_s=60, replace=True)
    connection.execute(*ship.statement(Order(n=4), placeholders="%s"))
    connection.execute(
        "SELECT butler.enqueue(task => 'ship', request => '{}', fingerprint => '', queue => 'q', "
        "priority => 'low', max_attempts => 1, traceparent => %s)",
        (TRACE,),
    )
    found = connection.execute("SELECT traceparent FROM butler.executions").fetchall()
    assert found == [(TRACE,)] * 4


def test_a_middleware_that_keeps_an_order_leaves_no_statement(butler, ship):
    class Keeps:
        def enqueue(self, orders, call_next):
            return [butler.handle(order.task_name) for order in orders]

    butler.add_middleware(Keeps())
    with pytest.raises(InvalidOption, match="a middleware kept it"):
        ship.statement(Order(n=1))
