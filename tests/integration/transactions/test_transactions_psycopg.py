"""Enqueueing within a user's own psycopg transaction."""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row
from transaction_scenes import Order, ids, rows_of
from transactions_kit import S, _outcome, insert_order

from butler.errors import (
    ExecutionNotFound,
    InvalidOption,
    InvalidRequest,
    TransactionRefused,
    WaitTimeout,
)


def test_it_is_there_when_the_transaction_commits(butler, ship, connection, database_url):
    insert_order(connection)
    handle = ship.enqueue(Order(n=1), transaction=connection)
    assert (handle.created, handle.pushed) == (True, False)
    assert butler.get(handle.id) is None
    connection.commit()
    execution = butler.get(handle.id)
    assert (execution.status, execution.task, execution.queue) == (S.SCHEDULED, "Ship", "shipping")
    assert (execution.request, execution.max_attempts, execution.tags) == ({"n": 1}, 5, ("a",))
    assert rows_of(database_url) == [1]


def test_it_was_never_there_when_the_transaction_rolls_back(butler, ship, connection, database_url):
    insert_order(connection)
    handle = ship.enqueue(Order(n=1), transaction=connection)
    connection.rollback()
    assert ids(butler) == []
    assert rows_of(database_url) == []
    for ask in (handle.result, handle.execution):
        with pytest.raises(ExecutionNotFound, match="transaction it was enqueued in was rolled ba"):
            ask()


def test_every_option_arrives(butler, ship, connection):
    run_at = datetime(2040, 1, 1, 0, 0, 0, 7, tzinfo=UTC)
    handle = ship.enqueue(
        Order(n=1),
        run_at=run_at,
        expires_at=run_at + timedelta(days=1),
        queue="mail",
        priority="high",
        unique_key='k"1',
        user_id="ü",
        tags=["b", 'c"\\'],
        max_attempts=2,
        timeout_s=0.5,
        transaction=connection,
    )
    connection.commit()
    execution = handle.execution()
    assert (execution.run_at, execution.expires_at) == (run_at, run_at + timedelta(days=1))
    assert (execution.queue, execution.priority, execution.unique_key) == ("mail", "high", 'k"1')
    assert (execution.user_id, execution.tags) == ("ü", ("a", "b", 'c"\\'))
    assert (execution.max_attempts, execution.timeout_s) == (2, 0.5)


def test_a_delay_counts_from_the_enqueue(ship, connection):
    handle = ship.enqueue(Order(), delay_s=60, transaction=connection)
    connection.commit()
    execution = handle.execution()
    assert timedelta(seconds=59) < execution.run_at - execution.created_at < timedelta(seconds=61)


@pytest.mark.parametrize("given", ["cursor", "named cursor", "transaction"])
def test_a_cursor_or_transaction_stands_for_its_connection(butler, ship, connection, given):
    with connection.transaction() as transaction, connection.cursor("c") as named:
        stands_for_it = {
            "cursor": connection.cursor(),
            "named cursor": named,
            "transaction": transaction,
        }[given]
        handle = ship.enqueue(Order(), transaction=stands_for_it)
        assert butler.get(handle.id) is None
    assert butler.get(handle.id).status is S.SCHEDULED


@pytest.mark.parametrize(
    "settings",
    [
        {"row_factory": dict_row},
        {"cursor_factory": psycopg.RawCursor},
        {"cursor_factory": psycopg.ClientCursor},
        {"prepare_threshold": 0},
    ],
)
def test_what_kinds_of_cursors_and_rows_a_connection_makes_does_not_matter(
    butler, ship, database_url, settings
):
    with psycopg.connect(database_url, **settings) as connection:
        ship.enqueue(Order(), transaction=connection)
        ship.enqueue(Order(), transaction=connection)
    assert len(ids(butler)) == 2


def test_many_are_there_together(butler, ship, bill, connection):
    orders = [(ship, Order(n=n)) for n in range(1_100)] + [(bill, Order(n=n)) for n in range(3)]
    handles = butler.enqueue_many(orders, transaction=connection)
    assert butler.list(limit=1).executions == ()
    connection.commit()
    assert len({handle.id for handle in handles}) == 1_103
    assert {e.id for e in butler.list(task="Bill").executions} == {h.id for h in handles[-3:]}
    assert [h.created for h in handles] == [True] * 1_103
    assert handles[1_000].execution().request == {"n": 1_000}


def test_within_a_savepoint_it_shares_the_savepoints_fate(butler, ship, connection):
    with connection.transaction():
        kept = ship.enqueue(Order(n=1), transaction=connection)
        with connection.transaction(force_rollback=True):
            lost = ship.enqueue(Order(n=2), transaction=connection)
    assert ids(butler) == [kept.id]
    with pytest.raises(ExecutionNotFound, match="a savepoint was rolled back"):
        lost.result(timeout_s=5)


# What is refused


def test_autocommit_without_a_transaction_is_refused_with_the_remedy(butler, ship, database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        with pytest.raises(TransactionRefused, match=r"autocommit.*connection\.transaction\(\)"):
            ship.enqueue(Order(), transaction=connection)
        with connection.transaction():
            ship.enqueue(Order(), transaction=connection)
    assert len(ids(butler)) == 1


def test_another_database_is_refused_also_where_it_has_a_copy_of_this_ledger(ship, new_database):
    # Both were made of one template, so they even have the ledger's id in common.
    with new_database() as copy, psycopg.connect(copy) as connection:
        name = connection.info.dbname
        with pytest.raises(TransactionRefused, match=rf"another database \({name}.*nothing was"):
            ship.enqueue(Order(), transaction=connection)
        assert connection.execute("SELECT count(*) FROM butler.executions").fetchone() == (0,)


def test_a_database_without_a_ledger_is_refused_and_its_transaction_goes_on(ship, services):
    url = services.database_url.replace("@/butler?", "@/postgres?")
    with psycopg.connect(url) as connection:
        with pytest.raises(TransactionRefused, match="holds no ledger in the schema 'butler'"):
            ship.enqueue(Order(), transaction=connection)
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_failed_transaction_is_refused(ship, connection):
    with pytest.raises(psycopg.errors.DivisionByZero):
        connection.execute("SELECT 1 / 0")
    with pytest.raises(TransactionRefused, match="can only be rolled back"):
        ship.enqueue(Order(), transaction=connection)


def test_a_closed_connection_is_refused(ship, connection):
    connection.close()
    with pytest.raises(TransactionRefused, match="is closed"):
        ship.enqueue(Order(), transaction=connection)


def test_a_read_only_transaction_is_refused_and_goes_on(ship, connection):
    connection.read_only = True
    with pytest.raises(TransactionRefused, match="read-only"):
        ship.enqueue(Order(), transaction=connection)
    assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("usage", [False, True])
def test_a_role_without_rights_is_refused_and_told_so(ship, connection, usage):
    connection.execute("CREATE ROLE poor")
    if usage:
        connection.execute("GRANT USAGE ON SCHEMA butler TO poor")
    connection.execute("SET LOCAL ROLE poor")
    with pytest.raises(TransactionRefused, match="role"):
        ship.enqueue(Order(), transaction=connection)
    assert connection.execute("SELECT current_user").fetchone() == ("poor",)
    connection.rollback()


def test_the_rights_that_the_docs_list_are_enough(bill, ship, connection):
    page = (Path(__file__).parents[3] / "docs" / "transactions.md").read_text()
    grants = re.findall(r"^GRANT .* TO app;$", page, re.MULTILINE)
    assert len(grants) == 4
    connection.execute("CREATE ROLE app")
    for grant in grants:
        connection.execute(grant)
    connection.execute("SET LOCAL ROLE app")
    ship.enqueue(Order(), transaction=connection)
    first = bill.enqueue(Order(n=1), delay_s=60, transaction=connection)
    assert bill.enqueue(Order(n=1), replace=True, transaction=connection).replaced
    assert str(
        connection.execute(*bill.statement(Order(n=1), placeholders="%s")).fetchone()[0]
    ) == (first.id)
    connection.rollback()


@pytest.mark.parametrize("given", ["postgresql://x", 7, object()])
def test_what_is_no_connection_is_refused_and_the_way_for_other_drivers_is_named(ship, given):
    with pytest.raises(TransactionRefused, match=r"task\.statement\(request\)"):
        ship.enqueue(Order(), transaction=given)


def test_none_is_no_transaction(butler, ship):
    assert ship.enqueue(Order(), transaction=None).pushed


def test_our_errors_undo_our_row_and_nothing_of_the_users(butler, ship, connection, database_url):
    insert_order(connection)
    with pytest.raises(InvalidOption):
        ship.enqueue(Order(), queue="a.b", transaction=connection)
    with pytest.raises(InvalidRequest):
        butler.enqueue(ship, {"n": "x"}, transaction=connection)
    ship.enqueue(Order(n=2), transaction=connection)
    connection.commit()
    assert rows_of(database_url) == [1]
    assert len(ids(butler)) == 1


def test_what_the_ledger_cannot_store_leaves_the_transaction_usable(butler, connection):
    @butler.task
    def free(request: str) -> None: ...

    with pytest.raises(InvalidRequest, match="NUL"):
        free.enqueue("a\0b", transaction=connection)
    free.enqueue("ok", transaction=connection)
    connection.commit()
    assert len(ids(butler)) == 1


def test_in_memory_there_is_nothing_to_commit_with(connection):
    from butler import Butler

    with Butler.in_memory() as butler:

        @butler.task
        def noop() -> None: ...

        with pytest.raises(TransactionRefused, match="MemoryStorage keeps no ledger"):
            noop.enqueue(transaction=connection)


# Waiting


def test_waiting_for_what_is_not_committed_ends_with_its_timeout(ship, connection):
    handle = ship.enqueue(Order(), transaction=connection)
    with pytest.raises(WaitTimeout, match=r"after 0\.05 s: .*still open; commit it before"):
        handle.result(timeout_s=0.05)
    with pytest.raises(ExecutionNotFound, match="still open"):
        handle.execution()


def test_waiting_goes_on_from_the_commit_to_the_end(butler, ship, connection):
    handle = ship.enqueue(Order(n=7), transaction=connection)
    outcomes = []
    waiting = threading.Thread(target=lambda: outcomes.append(_outcome(handle)))
    waiting.start()
    connection.commit()
    butler.cancel(handle.id)
    waiting.join(30)
    assert outcomes == ["TaskCancelled"]


def test_waiting_for_what_is_rolled_back_meanwhile_says_so(ship, connection):
    handle = ship.enqueue(Order(), transaction=connection)
    outcomes = []
    waiting = threading.Thread(target=lambda: outcomes.append(_outcome(handle)))
    waiting.start()
    connection.rollback()
    waiting.join(30)
    assert outcomes == ["ExecutionNotFound"]
