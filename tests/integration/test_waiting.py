"""Waiting on real servers and real workers: what is seen, and what it survives."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time

import pytest
import redis as redis_driver
from fleet import Fleet, wait_for
from waiting_app import Work, nap, walk
from waiting_kit import TIMEOUT_S, listening_to, made, serve

from butler import Butler
from butler.changes import ChangeKind
from butler.errors import TaskCancelled, WaitTimeout
from butler.executions import ExecutionStatus, Priority
from butler.hands import Hand, Settled
from butler.ids import new_id
from butler.queues import QueueWire, WireKeys


@pytest.fixture
def butler(redis_url, database_url):
    with made(redis_url, database_url) as butler:
        yield butler


@pytest.fixture
def serving(fleet, butler):
    """A fleet whose worker serves the tasks of this module."""
    serve(fleet, butler)
    return fleet


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
