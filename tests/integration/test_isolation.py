"""``isolation="process"``: what happens in there stays in there."""

import os
import signal
import time
from pathlib import Path

import pytest
from fleet import live_workers, wait_for
from fleet_app import Item
from shared_fleet import butler, fleet

from butler.errors import TaskCancelled, TaskFailed
from butler.executions import AttemptOutcome, ExecutionStatus

__all__ = ["butler", "fleet"]

pytestmark = pytest.mark.xdist_group("isolation")


@pytest.fixture(scope="module")
def supervisor(fleet):
    return fleet.start_worker("--grace", "2")


@pytest.fixture
def worker(butler, fleet, supervisor):
    """The one that is there; after a test that killed it, its heir."""
    wait_for(lambda: len(live_workers(butler)) == 1, what="a worker", fleet=fleet)
    return live_workers(butler)[0]


def running(handle):
    return handle.execution().status is ExecutionStatus.RUNNING


def test_an_isolated_task_runs_in_another_process_which_is_used_again(butler, worker):
    pids = [butler.enqueue("isolated_work", Item()).result(timeout_s=30) for _ in range(3)]
    pids += [butler.enqueue("isolated_coroutine", Item()).result(timeout_s=30)]
    assert worker.pid not in pids
    assert len(set(pids)) <= 2


def test_progress_comes_out_of_the_process(butler, fleet, worker):
    handle = butler.enqueue("isolated_work", Item(seconds=2))
    wait_for(lambda: handle.execution().progress, what="progress", fleet=fleet)
    assert handle.execution().progress.percent == 50


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (signal.SIGSEGV, r"killed by signal 11 \(SIGSEGV\)"),
        (signal.SIGKILL, r"killed by signal 9 \(SIGKILL\); out of memory\?"),
        (0, "exited with code 7"),
    ],
)
def test_a_process_that_dies_ends_its_attempt_and_not_the_worker(butler, worker, how, reason):
    handle = butler.enqueue("isolated_crash", Item(n=how))
    with pytest.raises(TaskFailed, match=reason):
        handle.result(timeout_s=30)
    assert handle.execution().attempts[0].outcome is AttemptOutcome.CRASHED
    assert butler.enqueue("isolated_work", Item()).result(timeout_s=30)
    assert [row.pid for row in live_workers(butler)] == [worker.pid]


def test_a_timeout_reaches_a_process_that_sleeps(butler, worker):
    handle = butler.enqueue("isolated_overdue", Item())
    started = time.monotonic()
    with pytest.raises(TaskFailed, match=r"still running after timeout_s=0\.5"):
        handle.result(timeout_s=30)
    assert time.monotonic() - started < 2.5
    assert handle.execution().attempts[0].outcome is AttemptOutcome.TIMED_OUT


def test_a_process_that_ignores_its_timeout_is_killed_after_the_grace(butler, worker):
    handle = butler.enqueue("isolated_overdue", Item(n=1))
    with pytest.raises(TaskFailed, match=r"still running after timeout_s=0\.5"):
        handle.result(timeout_s=40)
    assert butler.enqueue("isolated_work", Item()).result(timeout_s=30)


@pytest.mark.parametrize("task", ["isolated_work", "isolated_coroutine"])
def test_a_cancel_reaches_into_the_process(butler, fleet, worker, task):
    handle = butler.enqueue(task, Item(seconds=60))
    wait_for(lambda: running(handle), what="it runs", fleet=fleet)
    assert handle.cancel()
    with pytest.raises(TaskCancelled):
        handle.result(timeout_s=15)


def test_more_memory_than_allowed_is_an_error_of_the_task(butler, worker):
    assert butler.enqueue("isolated_hungry", Item(n=50)).result(timeout_s=30) == 50 * 1024 * 1024
    with pytest.raises(TaskFailed, match="MemoryError"):
        butler.enqueue("isolated_hungry", Item(n=2000)).result(timeout_s=30)


def test_no_process_outlives_a_worker_that_is_killed(butler, fleet, worker):
    pid = butler.enqueue("isolated_work", Item()).result(timeout_s=30)
    os.kill(worker.pid, signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), what="it ends", fleet=fleet)
