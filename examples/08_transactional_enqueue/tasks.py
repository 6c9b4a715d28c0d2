from pydantic import BaseModel

from butler import Butler

butler = Butler()


class Order(BaseModel):
    number: int
    customer: str


@butler.task
def confirm(order: Order) -> str:
    """Tell the customer that an order was taken."""
    return f"order {order.number} of {order.customer} is confirmed"


@butler.task(unique_key=lambda order: order.customer)
def update_statement(order: Order) -> str:
    """Work out what a customer owes; once for all orders that come close together."""
    return f"statement of {order.customer} up to order {order.number}"
