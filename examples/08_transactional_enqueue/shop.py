"""Takes two orders. The second one fails half-way, and neither it nor its tasks are left."""

import os

import psycopg
from tasks import Order, confirm, update_statement

from butler import Handle
from butler.errors import ExecutionNotFound


class OutOfStock(Exception):
    pass


def take(connection: psycopg.Connection, order: Order, *, stock: int) -> list[Handle[str]]:
    """Write an order and enqueue its tasks: all of it, or nothing."""
    with connection.transaction():
        connection.execute(
            "INSERT INTO shop_orders VALUES (%s, %s)", (order.number, order.customer)
        )
        handles = [
            confirm.enqueue(order, transaction=connection),
            update_statement.enqueue(order, delay_s=1, replace=True, transaction=connection),
        ]
        taken.extend(handles)
        if stock == 0:
            raise OutOfStock
    return handles


taken: list[Handle[str]] = []

with psycopg.connect(os.environ["BUTLER_DATABASE_URL"], autocommit=True) as connection:
    connection.execute("DROP TABLE IF EXISTS shop_orders")
    connection.execute("CREATE TABLE shop_orders (number integer, customer text)")

    confirmation, statement = take(connection, Order(number=1, customer="ada"), stock=5)
    print(confirmation.result(timeout_s=30))

    try:
        take(connection, Order(number=2, customer="ada"), stock=0)
    except OutOfStock:
        print("out of stock")
    try:
        taken[-2].result()
    except ExecutionNotFound as error:
        print(str(error).partition(": ")[2])

    print(statement.result(timeout_s=30))
    kept = connection.execute("SELECT number FROM shop_orders").fetchall()
    print("orders:", [number for (number,) in kept])
