"""The no-op task, for Butler's workers and for RQ's."""

import asyncio

from pydantic import BaseModel

from butler import Butler

butler = Butler()


class Job(BaseModel):
    sent_at: float
    to: str = "a@b.c"
    subject: str = "hi"


class Done(BaseModel):
    ok: int


@butler.task(queue="bench")
def noop(request: Job) -> Done:
    return Done(ok=1)


@butler.task(queue="bench")
async def anoop(request: Job) -> Done:
    return Done(ok=1)


class Nap(BaseModel):
    seconds: float


@butler.task(queue="bench")
async def nap(request: Nap) -> None:
    await asyncio.sleep(request.seconds)


def rq_noop(sent_at: float, to: str = "a@b.c", subject: str = "hi") -> dict[str, int]:
    return {"ok": 1}
