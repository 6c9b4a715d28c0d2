"""Attempts that do not end at their timeout: their process is replaced, nothing else suffers."""

import time

import pytest
from fleet import live_workers, wait_for
from fleet_app import Item

from butler.errors import TaskCancelled, TaskFailed
from butler.executions import AttemptOutcome, ExecutionStatus


@pytest.fixture
def worker(butler, fleet):
    fleet.start_worker("--grace", "1")
    wait_for(lambda: len(live_workers(butler)) == 1, what="a worker", fleet=fleet)
    return live_workers(butler)[0]


def running(handle):
    return handle.execution().status is ExecutionStatus.RUNNING


@pytest.mark.parametrize("holds_the_lock", [0, 1])
def test_a_thread_blocked_in_c_is_ended_with_its_process(butler, fleet, worker, holds_the_lock):
    handle = butler.enqueue("deaf", Item(n=holds_the_lock))
    with pytest.raises(TaskFailed, match=r"still running after timeout_s=1\.5"):
        handle.result(timeout_s=30)
    (attempt,) = handle.execution().attempts
    assert (attempt.outcome, attempt.counted) == (AttemptOutcome.TIMED_OUT, True)
    assert butler.enqueue("work", Item(n=3)).result(timeout_s=30) == 3
    assert worker.pid not in {row.pid for row in live_workers(butler)}


@pytest.mark.parametrize("holds_the_lock", [0, 1])
def test_a_thread_blocked_in_c_that_is_cancelled_is_ended_with_its_process(
    butler, fleet, holds_the_lock
):
    # Where the whole process is deaf, the supervisor learns of the cancel by its heartbeat.
    fleet.environment["BUTLER_HEARTBEAT_S"] = "1"
    fleet.start_worker("--grace", "1")
    handle = butler.enqueue("deaf", Item(n=holds_the_lock), timeout_s=600)
    wait_for(lambda: running(handle), what="it runs", fleet=fleet)
    assert handle.cancel()
    with pytest.raises(TaskCancelled):
        handle.result(timeout_s=45)
    assert butler.enqueue("work", Item(n=3)).result(timeout_s=30) == 3


def test_neighbours_of_an_overdue_thread_may_finish_and_nothing_waits_for_them(
    butler, fleet, worker
):
    neighbour = butler.enqueue("work", Item(n=8, seconds=6))
    deaf = butler.enqueue("deaf", Item())
    wait_for(lambda: running(deaf) and running(neighbour), what="both run", fleet=fleet)
    wait_for(lambda: "child.overdue" in fleet.logs(), what="noticed", fleet=fleet)
    started = time.monotonic()
    assert butler.enqueue("work", Item(n=1)).result(timeout_s=30) == 1
    assert time.monotonic() - started < 5
    assert neighbour.result(timeout_s=30) == 8
    assert neighbour.execution().attempt == 1
    with pytest.raises(TaskFailed, match="still running"):
        deaf.result(timeout_s=30)
