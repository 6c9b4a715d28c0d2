"""What the soak runs: a nap in each isolation, and one that fails at first."""

import asyncio
import time

from pydantic import BaseModel

from butler import Butler, RetryPolicy, TaskContext

butler = Butler()
# A process of its own that is killed costs an attempt; a kill must not be what ends an execution.
PATIENT = RetryPolicy(max_attempts=20, base_s=0.1, cap_s=0.5)


class Nap(BaseModel):
    seconds: float


@butler.task(queue="soak", retry=PATIENT)
async def in_loop(nap: Nap, context: TaskContext) -> None:
    context.log.info("napping for %.2f s", nap.seconds)
    await asyncio.sleep(nap.seconds)


@butler.task(queue="soak", retry=PATIENT)
def in_thread(nap: Nap, context: TaskContext) -> None:
    context.report_progress(50)
    time.sleep(nap.seconds)


@butler.task(queue="soak", retry=PATIENT, isolation="process")
def in_process(nap: Nap) -> None:
    time.sleep(nap.seconds)


@butler.task(queue="soak", retry=PATIENT)
def at_second_try(nap: Nap, context: TaskContext) -> None:
    time.sleep(nap.seconds / 2)
    if context.attempt == 1:
        raise ConnectionError("the first try fails")


TASKS = (in_loop, in_thread, in_process, at_second_try)
WEIGHTS = (45, 35, 10, 10)
