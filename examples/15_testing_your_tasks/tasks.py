from collections.abc import Iterator
from dataclasses import dataclass

from butler import Butler, Provide, RetryPolicy, TaskContext

butler = Butler()


@dataclass
class Order:
    number: int
    email: str


class Shop:
    """The shop's own service, which a test does not want to call."""

    def reserve(self, number: int) -> bool:
        raise NotImplementedError("there is no shop here")

    def close(self) -> None: ...


def open_shop() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.close()


class OutOfStock(Exception):
    pass


@butler.task
async def confirm(order: Order) -> str:
    return f"confirmed {order.number} to {order.email}"


@butler.task(retry=RetryPolicy(max_attempts=3, base_s=600))
def place(order: Order, context: TaskContext, shop: Shop = Provide(open_shop)) -> int:
    """Reserve what was ordered, and tell the customer."""
    if not shop.reserve(order.number):
        raise OutOfStock(order.number)
    context.enqueue(confirm, order, user_id=order.email)
    return order.number
