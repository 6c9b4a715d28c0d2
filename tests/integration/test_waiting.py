"""Waiting on real servers and real workers: how much it takes, and what it survives."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import statistics
import subprocess
import sys
import threading
import time

import pytest
import redis as redis_driver
from fleet import Fleet, live_workers, wait_for
from fleet_app import endless
from waiting_app import Work, nap, walk

from butler import Butler
from butler.changes import ChangeKind
from butler.errors import TaskCancelled, WaitTimeout
from butler.executions import ExecutionStatus, Priority
from butler.hands import Hand, Settled
from butler.ids import new_id
from butler.queues import QueueWire, WireKeys

TIMEOUT_S = 60


def made(redis_url, database_url):
    butler = Butler(redis_url, database_url)
    for task in (nap, walk, endless):
        butler.register(task)
    return butler


@pytest.fixture
def butler(redis_url, database_url):
    with made(redis_url, database_url) as butler:
        yield butler


@pytest.fixture
def serving(fleet, butler):
    """A fleet whose worker serves the tasks of this module."""
    serve(fleet, butler)
    return fleet


def serve(fleet, butler, *, app="waiting_app:butler", concurrency=250):
    before = len(live_workers(butler))
    fleet.start_worker(app=app, concurrency=concurrency)
    wait_for(lambda: len(live_workers(butler)) == before + 1, what="a worker", fleet=fleet)


def listening_to(redis, handle):
    return redis.pubsub_numsub(WireKeys.changes(handle.id))[0][1]


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


def test_a_cancel_of_what_runs_is_seen_by_whoever_follows(butler, fleet):
    serve(fleet, butler, app="fleet_app:butler", concurrency=8)
    handle = butler.enqueue("endless", {})
    steps = handle.events(timeout_s=TIMEOUT_S)
    seen = []
    for step in steps:
        seen.append(step.status)
        if step.status is ExecutionStatus.RUNNING:
            handle.cancel()
    assert seen[-1] is ExecutionStatus.CANCELLED
    with pytest.raises(TaskCancelled):
        handle.result(timeout_s=TIMEOUT_S)


def test_a_retry_by_an_operator_is_seen_by_whoever_looks_again(butler):
    handle = butler.enqueue(nap, Work())
    handle.cancel()
    assert [step.status for step in handle.events()] == [ExecutionStatus.CANCELLED]
    butler.retry(handle.id)
    assert next(handle.events()).status is ExecutionStatus.QUEUED


def test_a_wait_survives_a_wiped_redis(butler, serving):
    handle = butler.enqueue(nap, Work(seconds=1.5))
    wait_for(lambda: handle.execution().status is ExecutionStatus.RUNNING, what="a start")
    steps = handle.events(timeout_s=TIMEOUT_S)
    next(steps)
    wait_for(lambda: listening_to(butler.redis, handle), what="a channel")
    butler.redis.flushall()
    assert handle.result(timeout_s=TIMEOUT_S) == 1.5
    assert [step.status for step in steps][-1] is ExecutionStatus.SUCCEEDED


def test_a_user_who_may_not_use_channels_loses_speed_and_nothing_else(
    butler, redis_url, database_url
):
    butler.redis.execute_command(
        "ACL", "SETUSER", "quiet", "on", "nopass", "~*", "resetchannels", "+@all"
    )
    with redis_driver.Redis.from_url(redis_url, username="quiet", password="any") as quiet:
        with pytest.raises(redis_driver.exceptions.NoPermissionError):
            quiet.publish(WireKeys.changes("x"), "x")
        with Butler(redis=quiet, database_url=database_url) as other:
            handle = other.enqueue(other.register(nap), Work())
            assert handle.pushed
            assert next(handle.events(timeout_s=TIMEOUT_S)).status is ExecutionStatus.QUEUED
            hand = Hand(quiet, worker_id=new_id(), worker_name="w", queues=["default"])
            assert [popped for popped, _ in hand.pop(1, token=new_id())] == [handle.id]
            hand.settle(
                [
                    Settled(
                        id=handle.id,
                        attempt=1,
                        queue="default",
                        priority=Priority.NORMAL,
                        status="finished",
                    )
                ]
            )
            assert quiet.hget(WireKeys.job(handle.id), "status") == b"finished"
            handle.cancel()
            with pytest.raises(TaskCancelled):
                handle.result(timeout_s=TIMEOUT_S)


@pytest.fixture
def own(own_services, tmp_path):
    """A Butler and a fleet on servers that this test may kill."""
    from butler.storage.migrate import migrate

    migrate(own_services.database_url)
    folder = tmp_path / "fleet"
    folder.mkdir()
    urls = {"redis_url": own_services.redis_url, "database_url": own_services.database_url}
    fleet = Fleet(**urls, folder=folder)
    with made(*urls.values()) as butler:
        serve(fleet, butler)
        yield butler, fleet, own_services
        own_services.redis.start()
        fleet.end()


def test_waits_end_while_redis_is_dead_and_hear_it_when_it_is_back(own):
    butler, fleet, services = own
    handles = butler.enqueue_many([(nap, Work(seconds=3))] * 5)

    async def main():
        waits = [asyncio.ensure_future(h.aresult(timeout_s=TIMEOUT_S)) for h in handles]

        def kill_while_they_run():
            for handle in handles:
                wait_for(
                    lambda h=handle: h.execution().status is ExecutionStatus.RUNNING, what="a start"
                )
            services.redis.kill()

        await butler.in_thread(kill_while_they_run)
        return await asyncio.gather(*waits)

    assert asyncio.run(main()) == [3.0] * 5
    services.redis.start()
    wait_for(lambda: butler.enqueue(nap, Work()).pushed, what="a push", fleet=fleet)
    handle = butler.enqueue(walk, Work(seconds=8))
    seen = [step.kind for step in handle.events(timeout_s=TIMEOUT_S)]
    # Without being heard, a state a second at most would be seen; Redis may be found late.
    assert seen.count(ChangeKind.PROGRESS) > 9


def test_a_redis_that_only_hangs_delays_an_end_by_seconds(own):
    butler, fleet, services = own
    handle = butler.enqueue(nap, Work(seconds=2))
    wait_for(lambda: handle.execution().status is ExecutionStatus.RUNNING, what="a start")
    steps = handle.events(timeout_s=TIMEOUT_S)
    next(steps)
    os.kill(services.redis.pid, signal.SIGSTOP)
    try:
        assert handle.result(timeout_s=TIMEOUT_S) == 2.0
        late_s = time.time() - handle.execution().finished_at.timestamp()
        assert [step.status for step in steps][-1] is ExecutionStatus.SUCCEEDED
    finally:
        os.kill(services.redis.pid, signal.SIGCONT)
    assert late_s < 15
    wait_for(lambda: butler.enqueue(nap, Work()).pushed, what="a push", fleet=fleet)


def test_a_wait_outlives_a_restart_of_the_ledger(own):
    butler, _, services = own
    handle = butler.enqueue(nap, Work(seconds=2))
    steps = handle.events(timeout_s=TIMEOUT_S)
    next(steps)
    services.postgres.kill()
    services.postgres.start()
    assert [step.status for step in steps][-1] is ExecutionStatus.SUCCEEDED


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


def test_what_waits_for_its_time_is_seen_to_be_queued(butler, serving):
    serving.start_scheduler()
    handle = butler.enqueue(nap, Work(seconds=0.5), delay_s=1)
    seen = [step.status for step in handle.events(timeout_s=TIMEOUT_S)]
    assert (seen[0], seen[-1]) == (ExecutionStatus.SCHEDULED, ExecutionStatus.SUCCEEDED)
    assert ExecutionStatus.RUNNING in seen


def test_a_timeout_leaves_the_execution_alone(butler):
    handle = butler.enqueue(nap, Work())
    for timeout_s in (0, 0.2):
        with pytest.raises(WaitTimeout, match=r"nap .* is still queued"):
            handle.result(timeout_s=timeout_s)
    assert handle.execution().status is ExecutionStatus.QUEUED


def test_what_another_process_publishes_is_hints_and_no_more(butler):
    handle = butler.enqueue(nap, Work())
    steps = handle.events(timeout_s=2)
    next(steps)
    wait_for(lambda: listening_to(butler.redis, handle), what="a channel")
    wire = QueueWire(butler.redis, ledger_id="x")
    lies = ('{"kind":"state","over":true}', "\N{SNOWMAN}", '{"kind":"progress"}', "[]")
    wire.publish(itertools.product([handle.id], lies))
    with pytest.raises(WaitTimeout):
        next(steps)
