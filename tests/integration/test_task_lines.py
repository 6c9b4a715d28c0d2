"""The lines of tasks in a real worker, which all of these share: live, cut, and the last ones."""

import os

import pytest
from fleet import live_workers, wait_for
from fleet_app import Item
from shared_fleet import butler, fleet
from talkers import TALKERS, said

from butler.changes import ChangeKind
from butler.errors import TaskFailed
from butler.executions import ExecutionStatus
from butler.log_buffer import MAX_LINES

__all__ = ["butler", "fleet"]

pytestmark = pytest.mark.xdist_group("task lines")


@pytest.fixture(scope="module", autouse=True)
def worker(butler, fleet):
    fleet.start_worker()
    wait_for(lambda: len(live_workers(butler)) == 1, what="a worker", fleet=fleet)


@pytest.mark.parametrize("name", TALKERS)
def test_lines_of_a_running_attempt_are_there_within_a_moment_and_told(butler, fleet, name):
    handle = butler.enqueue(name, Item(seconds=3))
    changes = [change for change in handle.events(timeout_s=60) if change.line]
    wait_for(lambda: said(handle), what="lines", fleet=fleet)
    told = [change.line for change in changes]
    # What was logged before this process listened is in the ledger, and is not told again.
    assert told == handle.logs()[-len(told) :]
    first, last = changes[0], changes[-1]
    assert first.kind is ChangeKind.LOG
    assert first.status is ExecutionStatus.RUNNING
    assert last.line.message == "done"


@pytest.mark.parametrize("name", TALKERS)
def test_a_flood_is_cut_and_counted(butler, name):
    handle = butler.enqueue(name, Item(n=2_000))
    handle.result(timeout_s=60)
    lines = handle.logs(limit=2_000)
    assert len(lines) == MAX_LINES + 1
    assert (lines[-1].cut, lines[-1].message) == (True, "… [cut: 1,003 lines]")


def test_the_last_words_of_a_process_that_dies_are_there(butler):
    handle = butler.enqueue("isolated_last_words", Item())
    with pytest.raises(TaskFailed, match="exited with code 7"):
        handle.result(timeout_s=60)
    assert [line.message for line in handle.logs()] == ["last words"]


def test_a_flood_that_is_interrupted_is_cut_as_well(butler):
    # Its time-out is short: a process that is ready must be there.
    assert butler.enqueue("isolated_work", Item()).result(timeout_s=60) != os.getpid()
    handle = butler.enqueue("isolated_flood", Item())
    with pytest.raises(TaskFailed, match="still running after timeout_s=1"):
        handle.result(timeout_s=60)
    lines = handle.logs()
    assert {line.message for line in lines[:-1]} == {"x" * 300}
    assert lines[-1].cut
    assert butler.enqueue("isolated_work", Item()).result(timeout_s=60) != os.getpid()
