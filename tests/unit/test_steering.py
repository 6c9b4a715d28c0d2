"""Limits, rates and pauses through a Butler and a worker, in memory."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time

from butler import Butler
from butler.steering import Limits, Queues
from butler.steering_aio import AsyncLimits, AsyncQueues
from butler.testing import run_pending


def test_a_worker_with_many_slots_runs_no_more_than_the_limit_at_once():
    butler, lock, running, peaks = Butler.in_memory(), threading.Lock(), [], []

    @butler.task(max_concurrency=2)
    def work(n: int) -> int:
        with lock:
            running.append(n)
            peaks.append(len(running))
        time.sleep(0.005)
        with lock:
            running.remove(n)
        return n

    with butler.worker(concurrency=6):
        handles = [work.enqueue(n) for n in range(12)]
        assert [handle.result(timeout_s=60) for handle in handles] == list(range(12))
    assert max(peaks) == 2


def test_a_paused_queue_runs_nothing_until_it_is_resumed():
    butler = Butler.in_memory()

    @butler.task(queue="mail")
    def held(n: int) -> int:
        return n

    @butler.task
    def free(n: int) -> int:
        return n

    butler.queues.pause("mail")
    with butler.worker():
        handle = held.enqueue(1)
        assert free.enqueue(2).result(timeout_s=60) == 2
        assert butler.queues.paused() == ["mail"]
        (prospect,) = butler.limits.waits_for(handle.id)
        assert (prospect.limit, prospect.part) == ("queue:mail", "paused")
        butler.queues.resume("mail")
        assert handle.result(timeout_s=60) == 1
    assert butler.queues.paused() == []


def test_what_waits_says_for_what_also_awaited():
    butler, started, go = Butler.in_memory(), threading.Event(), threading.Event()

    @butler.task(max_concurrency=1, concurrency_key=lambda n: f"customer:{n}", rate="1/hour")
    def work(n: int) -> int:
        started.set()
        go.wait(60)
        return n

    with butler.worker():
        holder = work.enqueue(42)
        assert started.wait(60)
        waiting, other = work.enqueue(42), work.enqueue(7)
        limit, rate = waiting.waits_for()
        assert str(limit) == f"limit customer:42, held by {holder.id}"
        assert str(rate).startswith("rate of work, for ")
        assert [p.part for p in asyncio.run(waiting.awaits_for())] == ["concurrency", "rate"]
        assert butler.limits.waits_for(holder.id) == []
        found = butler.limits.waits_of([holder.id, waiting.id, other.id, "no id"])
        assert {id_: [p.part for p in found[id_]] for id_ in found} == {
            waiting.id: ["concurrency", "rate"],
            other.id: ["rate"],
        }
        go.set()


def test_limits_and_queues_are_there_awaited_with_the_same_parameters():
    for plain, awaited in ((Limits, AsyncLimits), (Queues, AsyncQueues)):
        names = [n for n, _ in inspect.getmembers(plain, inspect.isfunction) if n[0] != "_"]
        for name in names:
            twin = getattr(awaited, name)
            assert inspect.iscoroutinefunction(twin), name
            same = (
                inspect.signature(twin).parameters
                == inspect.signature(getattr(plain, name)).parameters
            )
            assert same, name


def test_operators_limit_and_pause_from_coroutines():
    butler = Butler.in_memory()

    async def main():
        await butler.aio.queues.pause("mail")
        assert await butler.aio.queues.paused() == ["mail"]
        await butler.aio.queues.resume("mail")
        await butler.aio.queues.limit("mail", max_concurrency=2)
        await butler.aio.limits.set("render", rate="5/second")
        assert [str(row.rule) for row in await butler.aio.limits.list()] == [
            "2 at once",
            "5/second",
        ]
        assert await butler.aio.limits.waiting(["render"]) == {"render": 0}
        assert await butler.aio.limits.waits_of([]) == {}
        await butler.aio.limits.reset("render")
        handle = await butler.aio.enqueue(free, queue="mail")
        assert await butler.aio.limits.waits_for(handle.id) == await handle.waits_for() == []

    @butler.task
    def free() -> None: ...

    asyncio.run(main())


def test_what_an_operator_allows_wakes_what_waits():
    butler, go = Butler.in_memory(), threading.Event()

    @butler.task(max_concurrency=1)
    def work(n: int) -> int:
        if n == 0:
            go.wait(60)
        return n

    with butler.worker(concurrency=4):
        first, second = work.enqueue(0), work.enqueue(1)
        butler.limits.set("work", max_concurrency=2)
        assert second.result(timeout_s=60) == 1
        butler.limits.reset("work")
        (row,) = butler.limits.list()
        assert (row.name, row.rule.max_concurrency, row.given) == ("work", 1, None)
        go.set()
        assert first.result(timeout_s=60) == 0


def test_a_queue_is_limited_as_a_whole_and_the_limit_is_lifted():
    butler = Butler.in_memory()
    butler.queues.limit("default", max_concurrency=3)
    assert [row.name for row in butler.limits.list()] == ["queue:default"]
    butler.queues.limit("default")
    assert butler.limits.list() == []


def test_running_what_is_pending_leaves_what_a_pause_keeps():
    butler = Butler.in_memory()

    @butler.task
    def free(n: int) -> int:
        return n

    @butler.task(queue="mail")
    def paused(n: int) -> int:
        return n

    butler.queues.pause("mail")
    butler.enqueue_many([(paused, 1), (free, 2), (paused, 3)])
    assert [execution.result for execution in run_pending(butler)] == [2]


def test_running_what_is_pending_keeps_to_the_rates_of_tasks_and_may_skip_to_their_time():
    butler = Butler.in_memory()

    @butler.task(rate="1/minute", rate_burst=2)
    def seldom(n: int) -> int:
        return n

    began = butler.storage.now()
    butler.enqueue_many([(seldom, n) for n in range(4)])
    assert [execution.result for execution in run_pending(butler)] == [0, 1]
    assert run_pending(butler) == []
    assert [e.result for e in run_pending(butler, fast_forward=True)] == [2, 3]
    assert 120 <= (butler.storage.now() - began).total_seconds() < 180


def test_what_a_limit_has_kept_from_running_here_is_still_on_its_queue():
    butler = Butler.in_memory()

    @butler.task(rate="1/hour")
    def seldom(n: int) -> int:
        return n

    handles = butler.enqueue_many([(seldom, n) for n in range(2)])
    assert [execution.result for execution in run_pending(butler)] == [0]
    with butler.worker():
        butler.limits.set("seldom", max_concurrency=5)
        assert handles[1].result(timeout_s=60) == 1
