"""The application of the tests about waiting: tasks that take a while and say how far they are."""

import asyncio
import time

from pydantic import BaseModel

from butler import Butler, TaskContext

butler = Butler()


class Work(BaseModel):
    seconds: float = 0.0


@butler.task
async def nap(request: Work) -> float:
    """Takes a while."""
    await asyncio.sleep(request.seconds)
    return request.seconds


@butler.task
async def walk(request: Work, context: TaskContext) -> int:
    """Reports where it is every tenth of a second, with the time of the report."""
    steps = int(request.seconds * 10)
    for step in range(steps):
        context.report_progress(100 * step / steps, repr(time.time()))
        await asyncio.sleep(0.1)
    return steps


tasks = (nap, walk)
