"""The Butler that workers load, and its tasks."""

from pydantic import BaseModel

from butler import Butler

butler = Butler()


class Order(BaseModel):
    """What a customer bought."""

    number: int
    email: str


class Receipt(BaseModel):
    """What the customer gets."""

    number: int
    text: str


@butler.task
def write_receipt(order: Order) -> Receipt:
    """Write the receipt of an order."""
    return Receipt(number=order.number, text=f"Thank you, {order.email}!")
