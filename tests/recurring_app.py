"""The application of the recurring jobs' tests: what it declares depends on RELEASE."""

import os
import time

from pydantic import BaseModel

from butler import Butler, Cron, Interval

butler = Butler(name="recurring app")


class Beat(BaseModel):
    n: int = 0
    seconds: float = 0.0


@butler.task(name="beat", queue="beats")
def beat(request: Beat) -> int:
    """A piece of work."""
    time.sleep(request.seconds)
    return request.n


@butler.task(name="patient", queue="beats")
async def patient(request: Beat) -> None:
    """Runs until it is cancelled."""
    import asyncio

    await asyncio.sleep(3600)


if os.environ.get("RELEASE") == "1":
    butler.recurring(Interval(3600), name="kept", request=Beat(n=1))(beat)
    butler.recurring(Cron("0 9 * * *"), name="dropped", request=Beat(n=1))(beat)
elif os.environ.get("RELEASE") == "2":
    butler.recurring(Interval(3600), name="kept", request=Beat(n=2))(beat)
    butler.recurring(Cron("0 9 * * *"), name="added", request=Beat(n=1))(beat)
