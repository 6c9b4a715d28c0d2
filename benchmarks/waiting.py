"""What a thousand concurrent waits cost everybody else: enqueue latency with and without them.

One process with an event loop enqueues one execution after the other with ``aenqueue`` while
- nothing else happens;
- a thousand coroutines wait for executions that do not end;
- two worker processes run a thousand executions of five to ten seconds, and as many are enqueued
  by this process as end, but nobody waits for them;
- the same, and a thousand coroutines wait for them, each enqueueing the next when its own has
  ended.
The enqueues that are timed are those of one coroutine that does nothing else, at a steady rate.
The waits cost what lies between the last two, or the first two. The lag of a wait is the time from
the end, as the ledger has it, to the result in the coroutine.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import threading
import time
from contextlib import asynccontextmanager
from pathlib import Path

from kit import HERE, show, start

WARM_UP = 100
LONGEST_NAP_S = 10.0
WORKER = [
    *("-m", "butler_workers", "--app", "bench_tasks:butler", "--queues", "bench"),
    *("--processes", "2", "--concurrency", "1000", "--drain-timeout", "1"),
    *("--log-level", "warning"),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waits", type=int, default=1_000)
    parser.add_argument("--enqueues", type=int, default=2_000, help="timed enqueues a scenario")
    parser.add_argument("--rate", type=float, default=100.0, help="timed enqueues a second")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    from butler.embedded import EmbeddedServices

    sys.path.insert(0, str(HERE))
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServices(Path(folder, "servers")) as services,
    ):
        os.environ["BUTLER_REDIS_URL"] = services.redis_url
        os.environ["BUTLER_DATABASE_URL"] = services.database_url
        os.environ["BUTLER_MIGRATE"] = "auto"
        from bench_tasks import butler

        butler.storage.prepare()
        measured = asyncio.run(measure(butler, arguments))
    if arguments.json:
        print(json.dumps(measured, indent=2))


async def measure(butler, arguments):
    measured = {}
    options = (butler, arguments.enqueues, arguments.rate)
    await enqueue_timed(*options, warm_up=True)
    measured["nothing"] = await timed("nothing else", *options)
    async with many(arguments.waits, lambda: wait_for_ever(butler)):
        await asyncio.sleep(2)
        measured["idle waits"] = await timed(f"{arguments.waits} idle waits", *options)

    worker = start(WORKER)
    lags = []
    try:
        async with many(arguments.waits, lambda: run_again(butler)):
            await asyncio.sleep(LONGEST_NAP_S)
            measured["busy"] = await timed("busy, nobody waits", *options)
        await asyncio.sleep(LONGEST_NAP_S)
        async with many(arguments.waits, lambda: wait_again(butler, lags)):
            await asyncio.sleep(LONGEST_NAP_S)
            lags.clear()
            began = time.perf_counter()
            measured["busy waits"] = await timed(f"busy, {arguments.waits} wait", *options)
            ended = len(lags) / (time.perf_counter() - began)
        measured["waits"] = {"ended_per_s": ended, **percentiles(lags)}
        show(f"    {ended:,.0f} waits ended a second; their lag {spoken(percentiles(lags))}")
    finally:
        worker.terminate()
        worker.wait(60)
    await butler.aio.close()
    return measured


@asynccontextmanager
async def many(count, make):
    tasks = [asyncio.ensure_future(make()) for _ in range(count)]
    yield
    failed = [task.exception() for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not failed, failed[:3]


async def timed(what, butler, count, rate):
    took = percentiles(await enqueue_timed(butler, count, rate))
    show(f"{what}: enqueue {spoken(took)}, {threading.active_count()} threads")
    return took


async def enqueue_timed(butler, count, rate, *, warm_up=False):
    from bench_tasks import Job, noop

    took = []
    for _ in range(WARM_UP if warm_up else count):
        began = time.perf_counter()
        await noop.aenqueue(Job(sent_at=0), queue="unheard")
        took.append(time.perf_counter() - began)
        await asyncio.sleep(max(1 / rate - took[-1], 0))
    return took


async def wait_for_ever(butler):
    from bench_tasks import Job, noop

    handle = await noop.aenqueue(Job(sent_at=0), delay_s=86_400)
    await handle.aresult()


async def run_again(butler):
    from bench_tasks import Nap, nap

    while True:
        seconds = random.uniform(LONGEST_NAP_S / 2, LONGEST_NAP_S)
        await nap.aenqueue(Nap(seconds=seconds))
        await asyncio.sleep(seconds)


async def wait_again(butler, lags):
    from bench_tasks import Nap, nap

    while True:
        seconds = random.uniform(LONGEST_NAP_S / 2, LONGEST_NAP_S)
        handle = await nap.aenqueue(Nap(seconds=seconds))
        await handle.aresult()
        now = time.time()
        finished_at = (await handle.aexecution()).finished_at.timestamp()
        lags.append(now - finished_at)


def percentiles(took):
    ordered = sorted(took)
    return {
        "p50_ms": ordered[len(ordered) // 2] * 1e3,
        "p99_ms": ordered[len(ordered) * 99 // 100] * 1e3,
        "worst_ms": ordered[-1] * 1e3,
    }


def spoken(took):
    return f"p50 {took['p50_ms']:.1f}, p99 {took['p99_ms']:.1f}, worst {took['worst_ms']:.1f} ms"


if __name__ == "__main__":
    main()
