"""``transaction=`` with SQLAlchemy: sessions and connections, sync and async."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import orm
from sqlalchemy.ext import asyncio as sa_asyncio
from transaction_scenes import Order, ids, new_butler, rows_of

from butler.errors import ExecutionNotFound, TransactionRefused, UniqueKeyBusy
from butler.executions import ExecutionStatus

S = ExecutionStatus
ADD = sqlalchemy.text("INSERT INTO orders VALUES (:n)")


class Base(orm.DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "orders"
    n: orm.Mapped[int] = orm.mapped_column(primary_key=True)


def url_for(database_url, driver):
    options = conninfo_to_dict(database_url)
    return sqlalchemy.URL.create(
        f"postgresql+{driver}",
        username=options["user"],
        database=options["dbname"],
        query={"host": options["host"]},
    )


@pytest.fixture
def engine(database_url, scene):
    engine = sqlalchemy.create_engine(url_for(database_url, "psycopg"))
    yield engine
    engine.dispose()


def test_with_a_session_it_commits_and_rolls_back_with_the_objects(
    butler, ship, engine, database_url
):
    with orm.Session(engine) as session:
        session.add(Row(n=1))
        kept = ship.enqueue(Order(n=1), transaction=session)
        assert (kept.created, kept.pushed) == (True, False)
        assert ids(butler) == []
        session.commit()
        session.add(Row(n=2))
        lost = ship.enqueue(Order(n=2), transaction=session)
        session.rollback()
    assert ids(butler) == [kept.id]
    assert kept.execution().status is S.SCHEDULED
    assert rows_of(database_url) == [1]
    with pytest.raises(ExecutionNotFound, match="rolled back"):
        lost.result()


def test_an_enqueue_as_the_sessions_first_statement_begins_its_transaction(butler, ship, engine):
    with orm.Session(engine) as session:
        ship.enqueue(Order(), transaction=session)
        assert session.in_transaction()
        session.commit()
    assert len(ids(butler)) == 1


def test_a_connections_first_statement_begins_its_transaction(butler, ship, engine):
    with engine.connect() as connection:
        ship.enqueue(Order(), transaction=connection)
        assert connection.in_transaction()
        connection.commit()
        ship.enqueue(Order(), transaction=connection)
    assert len(ids(butler)) == 1
    with engine.begin() as connection:
        butler.enqueue_many([(ship, Order(n=n)) for n in range(3)], transaction=connection)
    assert len(ids(butler)) == 4


def test_a_scoped_session_is_a_session(butler, ship, engine):
    session = orm.scoped_session(orm.sessionmaker(engine))
    ship.enqueue(Order(), transaction=session)
    session.commit()
    session.remove()
    assert len(ids(butler)) == 1


def test_it_does_not_flush_what_the_session_holds_back(ship, engine):
    with orm.Session(engine, autoflush=True) as session:
        row = Row(n=1)
        session.add(row)
        ship.enqueue(Order(), transaction=session)
        assert row in session.new


def test_within_a_savepoint_it_shares_the_savepoints_fate(butler, ship, engine):
    with orm.Session(engine) as session:
        kept = ship.enqueue(Order(), transaction=session)
        nested = session.begin_nested()
        ship.enqueue(Order(), transaction=session)
        nested.rollback()
        session.commit()
    assert ids(butler) == [kept.id]


def test_our_error_leaves_the_session_usable(redis_url, scene, bill, engine, database_url):
    settings = scene[0].settings.model_copy(update={"unique_wait_s": 0.05})
    impatient, _, its_bill = new_butler(redis_url, database_url, settings=settings)
    with impatient, orm.Session(engine) as first, orm.Session(engine) as second:
        bill.enqueue(Order(n=1), transaction=first)
        second.add(Row(n=1))
        second.flush()
        with pytest.raises(UniqueKeyBusy):
            its_bill.enqueue(Order(n=1), transaction=second)
        second.commit()
    assert rows_of(database_url) == [1]


def test_a_schema_with_an_odd_name_is_no_hindrance(redis_url, database_url, scene, engine):
    from butler.storage.postgres import PostgresStorage

    storage = PostgresStorage(database_url, schema='o:d"d %s 100%', migrate="auto")
    butler, ship, _ = new_butler(redis_url, database_url, storage=storage)
    with butler, engine.begin() as connection:
        ship.enqueue(Order(), transaction=connection)
    assert len(storage.find(_everything()).executions) == 1
    storage.close()


def _everything():
    from butler.storage.records import ExecutionQuery

    return ExecutionQuery()


@pytest.mark.parametrize("where", ["engine", "connection"])
def test_autocommit_is_refused(ship, database_url, scene, engine, where):
    if where == "engine":
        engine = sqlalchemy.create_engine(
            url_for(database_url, "psycopg"), isolation_level="AUTOCOMMIT"
        )
        options = {}
    else:
        options = {"isolation_level": "AUTOCOMMIT"}
    refusal = pytest.raises(TransactionRefused, match=r"in autocommit.*AUTOCOMMIT")
    with engine.connect().execution_options(**options) as connection, refusal:
        ship.enqueue(Order(), transaction=connection)
    engine.dispose()


def test_another_kind_of_database_is_refused(ship):
    engine = sqlalchemy.create_engine("sqlite://")
    refusal = pytest.raises(TransactionRefused, match=r"is on sqlite.*enqueue after your commit")
    with orm.Session(engine) as session, refusal:
        ship.enqueue(Order(), transaction=session)
    engine.dispose()


def test_another_database_of_the_server_is_refused(ship, services):
    engine = sqlalchemy.create_engine(url_for(services.database_url, "psycopg"))
    other = engine.url.set(database="postgres")
    engine.dispose()
    engine = sqlalchemy.create_engine(other)
    with engine.begin() as connection:
        with pytest.raises(TransactionRefused, match="holds no ledger"):
            ship.enqueue(Order(), transaction=connection)
        assert connection.execute(sqlalchemy.text("SELECT 1")).scalar() == 1
    engine.dispose()


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_async_sessions_and_connections_join_through_aenqueue(
    butler, ship, bill, database_url, driver
):
    async def main():
        engine = sa_asyncio.create_async_engine(url_for(database_url, driver))
        async with sa_asyncio.AsyncSession(engine) as session:
            session.add(Row(n=1))
            kept = await ship.aenqueue(Order(n=1), transaction=session)
            held = await bill.aenqueue(Order(n=1), transaction=session)
            again = await bill.aenqueue(Order(n=1), transaction=session)
            assert (again.id, again.created) == (held.id, False)
            await session.commit()
            lost = await ship.aenqueue(Order(n=2), transaction=session)
            await session.rollback()
            with pytest.raises(ExecutionNotFound, match="rolled back"):
                await lost.aresult()
        async with engine.begin() as connection:
            many = await butler.aenqueue_many([(ship, Order())] * 2, transaction=connection)
        await engine.dispose()
        return {kept.id, held.id, *(handle.id for handle in many)}

    assert asyncio.run(main()) == set(ids(butler))
    assert rows_of(database_url) == [1]


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_async_autocommit_is_refused(ship, database_url, driver):
    async def main():
        engine = sa_asyncio.create_async_engine(
            url_for(database_url, driver), isolation_level="AUTOCOMMIT"
        )
        async with engine.connect() as connection:
            with pytest.raises(TransactionRefused, match="autocommit"):
                await ship.aenqueue(Order(), transaction=connection)
        await engine.dispose()

    asyncio.run(main())


def test_the_two_kinds_of_sessions_are_not_mixed_up(ship, engine, database_url):
    refusal = pytest.raises(TransactionRefused, match="Session is a blocking connection")
    with orm.Session(engine) as session, refusal:
        asyncio.run(ship.aenqueue(Order(), transaction=session))

    async def main():
        engine = sa_asyncio.create_async_engine(url_for(database_url, "psycopg"))
        async with sa_asyncio.AsyncSession(engine) as session:
            with pytest.raises(TransactionRefused, match=r"AsyncSession is an async .*aenqueue"):
                await asyncio.to_thread(lambda: ship.enqueue(Order(), transaction=session))
        await engine.dispose()

    asyncio.run(main())
