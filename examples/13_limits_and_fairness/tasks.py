import time

from pydantic import BaseModel

from butler import Butler

butler = Butler()


class Document(BaseModel):
    tenant: str
    page: int


class Payment(BaseModel):
    account: int
    cents: int


@butler.task(fair_by="tenant")
def convert(document: Document) -> str:
    """Convert a page; tenants take turns, however many pages one of them has."""
    time.sleep(0.01)
    return f"{document.tenant} page {document.page}"


@butler.task(max_concurrency=1, concurrency_key=lambda payment: f"account:{payment.account}")
def pay(payment: Payment) -> int:
    """Pay; one at a time of each account, in the whole cluster."""
    time.sleep(0.1)
    return payment.cents
