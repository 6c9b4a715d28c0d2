"""``transaction=`` with Django's connection, which is set up once for this process."""

from __future__ import annotations

import asyncio

import django
import pytest
from django.conf import settings as django_settings
from django.db import connection as proxy
from django.db import connections
from psycopg.conninfo import conninfo_to_dict
from transaction_scenes import Order, ids, rows_of

from butler.errors import ExecutionNotFound, TransactionRefused
from butler.executions import ExecutionStatus


@pytest.fixture(autouse=True)
def database(scene, database_url):
    """Django's default database is this test's."""
    options = conninfo_to_dict(database_url)
    postgres = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": options["dbname"],
        "USER": options["user"],
        "HOST": options["host"],
    }
    lite = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    if not django_settings.configured:
        django_settings.configure(DATABASES={"default": postgres, "lite": lite})
        django.setup()
    connections["default"].settings_dict.update(postgres)
    yield
    connections.close_all()


def add(n):
    with proxy.cursor() as cursor:
        cursor.execute("INSERT INTO orders VALUES (%s)", [n])


def test_it_commits_and_rolls_back_with_the_atomic_block(butler, ship, database_url):
    from django.db import transaction

    with transaction.atomic():
        add(1)
        kept = ship.enqueue(Order(n=1), transaction=proxy)
        assert (kept.created, kept.pushed) == (True, False)
        assert ids(butler) == []
    assert kept.execution().status is ExecutionStatus.SCHEDULED
    with transaction.atomic():
        add(2)
        lost = ship.enqueue(Order(n=2), transaction=proxy)
        transaction.set_rollback(True)
    assert ids(butler) == [kept.id]
    assert rows_of(database_url) == [1]
    with pytest.raises(ExecutionNotFound, match="rolled back"):
        lost.result()


def test_a_nested_block_is_a_savepoint(butler, ship):
    from django.db import transaction

    with transaction.atomic():
        kept = ship.enqueue(Order(), transaction=proxy)
        with transaction.atomic():
            ship.enqueue(Order(), transaction=proxy)
            transaction.set_rollback(True)
    assert ids(butler) == [kept.id]


def test_the_connection_of_an_alias_is_one_too(butler, ship):
    from django.db import transaction

    with transaction.atomic():
        butler.enqueue_many([(ship, Order())] * 3, transaction=connections["default"])
    assert len(ids(butler)) == 3


def test_without_autocommit_no_block_is_needed(butler, ship):
    proxy.ensure_connection()
    proxy.set_autocommit(False)
    ship.enqueue(Order(), transaction=proxy)
    assert ids(butler) == []
    proxy.commit()
    proxy.set_autocommit(True)
    assert len(ids(butler)) == 1


def test_outside_of_a_block_it_is_refused_with_the_remedy(ship):
    with pytest.raises(TransactionRefused, match=r"autocommit.*with transaction\.atomic\(\)"):
        ship.enqueue(Order(), transaction=proxy)


def test_another_kind_of_database_is_refused(ship):
    from django.db import transaction

    refusal = pytest.raises(TransactionRefused, match=r"is on sqlite.*transaction\.on_commit")
    with transaction.atomic(using="lite"), refusal:
        ship.enqueue(Order(), transaction=connections["lite"])


def test_a_block_that_must_be_rolled_back_is_refused(ship):
    from django.db import transaction

    with transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(TransactionRefused, match="can only be rolled back"):
            ship.enqueue(Order(), transaction=proxy)


def test_aenqueue_would_block_and_is_refused(ship):
    with pytest.raises(TransactionRefused, match="blocking connection"):
        asyncio.run(ship.aenqueue(Order(), transaction=proxy))
