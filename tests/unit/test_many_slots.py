"""A worker with more slots than one statement may hold executions."""

import asyncio

from butler import Butler, ExecutionStatus
from butler.storage.base import MAX_BATCH


def test_more_slots_than_a_claim_may_hold_are_filled_in_steps():
    butler = Butler.in_memory()
    together = MAX_BATCH + 100
    started = []
    all_started = asyncio.Event()

    @butler.task
    async def meet() -> None:
        started.append(None)
        if len(started) == together:
            all_started.set()
        await all_started.wait()

    handles = butler.enqueue_many([(meet, None)] * together)
    with butler.worker(concurrency=together):
        handles[-1].result(timeout_s=30)
        handles[0].result(timeout_s=30)
    assert butler.list(status=ExecutionStatus.RUNNING).executions == ()
    assert len(started) == together
