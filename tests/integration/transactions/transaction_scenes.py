"""What the tests of transactional enqueues share: tasks, a table of the user's own, looks."""

from __future__ import annotations

import psycopg
from pydantic import BaseModel

from butler import Butler, RetryPolicy


class Order(BaseModel):
    n: int = 0


def order_key(request: Order) -> str:
    return f"order-{request.n}"


def new_butler(redis_url, database_url, **options):
    """A Butler with two tasks, as (butler, ship, bill); bill has a unique key."""
    butler = Butler(redis_url, database_url, **options)

    @butler.task(name="Ship", queue="shipping", retry=RetryPolicy(max_attempts=5), tags=["a"])
    def ship(request: Order) -> int:
        return request.n

    @butler.task(name="Bill", unique_key=order_key)
    def bill(request: Order) -> int:
        return request.n

    return butler, ship, bill


def make_table(database_url):
    """The user's own table, in the same database."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE orders (n integer)")


def rows_of(database_url):
    """What is in that table."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        return [n for (n,) in connection.execute("SELECT n FROM orders ORDER BY n").fetchall()]


def ids(butler):
    return [execution.id for execution in butler.list().executions]
