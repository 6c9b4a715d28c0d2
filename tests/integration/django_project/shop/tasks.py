from django.db import connection
from pydantic import BaseModel

from butler import task
from butler.contrib.django import butler
from shop.models import Order


class Packing(BaseModel):
    order: int


def backend():
    """The process id of this thread's connection in PostgreSQL."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


@butler.task
def pack(packing: Packing) -> int:
    Order.objects.filter(id=packing.order).update(packed_by=backend())
    return backend()


@task
async def apack(packing: Packing) -> str:
    order = await Order.objects.aget(id=packing.order)
    return order.item


@task(isolation="process")
def pack_alone(packing: Packing) -> str:
    return Order.objects.get(id=packing.order).item
