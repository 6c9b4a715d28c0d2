"""What waits for the work of one real worker: how much that takes, and what it sees."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import threading
import time

import pytest
from fleet import wait_for
from shared_fleet import fleet
from waiting_app import Work, nap, walk
from waiting_kit import TIMEOUT_S, listening_to, made, serve

from butler.changes import ChangeKind
from butler.executions import ExecutionStatus

__all__ = ["fleet"]

pytestmark = pytest.mark.xdist_group("waiting")


@pytest.fixture
def butler(fleet):
    urls = (fleet.environment[name] for name in ("BUTLER_REDIS_URL", "BUTLER_DATABASE_URL"))
    with made(*urls) as butler:
        yield butler


@pytest.fixture(scope="module", autouse=True)
def serving(fleet):
    urls = (fleet.environment[name] for name in ("BUTLER_REDIS_URL", "BUTLER_DATABASE_URL"))
    with made(*urls) as butler:
        serve(fleet, butler)
    return fleet


def subscribers(redis):
    """The connections that hear executions; those of workers hear RQ's commands."""
    return [client for client in redis.client_list() if int(client["sub"]) > 0]


def test_two_hundred_waits_take_one_thread_and_one_connection(butler, serving):
    others = {client["id"] for client in subscribers(butler.redis)}

    async def main():
        handles = await butler.aio.enqueue_many([(nap, Work(seconds=2))] * 200)
        waits = [asyncio.ensure_future(handle.result(timeout_s=TIMEOUT_S)) for handle in handles]
        await asyncio.sleep(0)
        assert len(butler.listener._list) == 200
        before = threading.active_count()
        await butler.in_thread(
            lambda: wait_for(lambda: listening_to(butler.redis, handles[-1]), what="a channel")
        )
        new = [client for client in subscribers(butler.redis) if client["id"] not in others]
        # A worker that registers meanwhile listens too, to one channel.
        ours = [client for client in new if int(client["sub"]) > 1]
        names = [thread.name for thread in threading.enumerate()]
        results = await asyncio.gather(*waits)
        return before, ours, names, results

    before, ours, names, results = asyncio.run(main())
    assert len(ours) == 1
    assert names.count("butler-listener") == 1
    # The threads for coroutines' calls, at most; none for a wait.
    assert len(names) <= before + 8 < 40
    assert results == [2.0] * 200


def test_threads_that_wait_are_all_served_by_one_listener(butler, serving):
    results = []

    def wait():
        results.append(butler.enqueue(nap, Work(seconds=0.5)).result(timeout_s=TIMEOUT_S))

    threads = [threading.Thread(target=wait) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)
    assert results == [0.5] * 10
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("butler-listener") == 1


def test_an_end_is_heard_within_milliseconds(butler, serving):
    handle = butler.enqueue(nap, Work(seconds=0.5))
    handle.result(timeout_s=TIMEOUT_S)
    lags = []
    for _ in range(5):
        handle = butler.enqueue(nap, Work(seconds=0.3))
        handle.result(timeout_s=TIMEOUT_S)
        now = time.time()
        lags.append(now - handle.execution().finished_at.timestamp())
    # A poll would come after a second.
    assert statistics.median(lags) < 0.5


def test_progress_is_seen_live_and_in_order(butler, serving):
    async def main():
        handle = await butler.aenqueue(walk, Work(seconds=3))
        steps = handle.events(timeout_s=TIMEOUT_S)
        return [(time.time(), change) async for change in steps]

    seen = asyncio.run(main())
    states = [change.status for _, change in seen if change.kind is ChangeKind.STATE]
    assert states[-1] is ExecutionStatus.SUCCEEDED
    assert ExecutionStatus.RUNNING in states
    steps = [(at, change) for at, change in seen if change.kind is ChangeKind.PROGRESS]
    percents = [change.percent for _, change in steps]
    assert percents == sorted(set(percents))
    assert len(percents) >= 8
    assert {change.attempt for _, change in steps} == {1}
    lags = [at - float(change.message) for at, change in steps]
    assert statistics.median(lags) < 0.25


def test_many_follow_one_execution_each_for_themselves(butler, serving):
    async def follow(handle):
        return [change.status async for change in handle.events(timeout_s=TIMEOUT_S)]

    async def main():
        handle = await butler.aio.enqueue(walk, Work(seconds=1))
        return await asyncio.gather(*(follow(handle) for _ in range(5)))

    followed = asyncio.run(main())
    assert len(followed) == 5
    for states in followed:
        assert states[-1] is ExecutionStatus.SUCCEEDED
        assert states.count(ExecutionStatus.SUCCEEDED) == 1


FORK = """
import os, sys
from waiting_app import Work, butler, nap

long = butler.enqueue(nap, Work(seconds=4))
steps = long.events(timeout_s=60)
assert not next(steps).status.finished
listener = butler.listener
child = os.fork()
if child == 0:
    assert butler.listener is not listener
    short = butler.enqueue(nap, Work(seconds=0.5))
    os._exit(7 if short.result(timeout_s=60) == 0.5 else 1)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), [step.status for step in steps][-1], flush=True)
assert butler.listener is listener
"""


def test_a_forked_child_hears_for_itself_and_the_parent_goes_on(butler, serving):
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK],
        env=serving.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["7", "succeeded"]
