"""What runs on the bad day: one task that fails when it is told to, and one that never ends."""

import asyncio

from pydantic import BaseModel

from butler import Butler, RetryPolicy

butler = Butler()


class Bill(BaseModel):
    amount: int = 1


@butler.task(queue="till", retry=RetryPolicy(max_attempts=1))
def charge(bill: Bill) -> int:
    if bill.amount < 0:
        raise ValueError("a bill cannot be negative")
    return bill.amount


@butler.task(queue="mail", timeout_s=86_400)
async def hang(_: Bill) -> None:
    await asyncio.sleep(86_400)


@butler.task(queue="mail")
async def send(_: Bill) -> None:
    """What cannot be sent while something hangs."""
