"""Lifespan, providers and worker processes: opened, provided, cleaned up, as a user has it."""

import signal
import sys
from pathlib import Path

import pytest
from fleet import wait_for

from butler import Butler, ExecutionStatus
from butler.errors import TaskCancelled, TaskFailed

HERE = str(Path(__file__).parent)
APP = "lifespan_app:butler"


@pytest.fixture
def journal(tmp_path, fleet, monkeypatch):
    path = tmp_path / "journal"
    path.touch()
    fleet.environment["JOURNAL"] = str(path)
    fleet.environment["PYTHONPATH"] += f":{HERE}"
    # This process enqueues the same tasks.
    monkeypatch.setenv("JOURNAL", str(path))
    monkeypatch.syspath_prepend(HERE)
    sys.modules.pop("lifespan_app", None)
    return path


@pytest.fixture
def butler(redis_url, database_url, journal):
    import lifespan_app as app

    with Butler(redis_url, database_url) as butler:
        for task in (app.same_loop, app.work, app.isolated, app.overdue, app.endless):
            butler.register(task)
        yield butler


def lines(journal):
    return journal.read_text().splitlines()


def test_a_process_opens_once_what_its_attempts_share_and_closes_it_after_the_drain(
    butler, fleet, journal
):
    process = fleet.start_worker(app=APP)
    results = [butler.enqueue(name) for name in ("same_loop", "work", "work", "same_loop")]
    shared = "session of pool"
    assert [each.result(timeout_s=60) for each in results] == [True, shared, shared, True]
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert lines(journal) == ["open", "open pool", "close pool", "close"]


def test_one_that_fails_ends_the_worker_with_3_and_says_why(butler, fleet, journal):
    fleet.environment["FAIL"] = "1"
    process = fleet.start_worker(app=APP)
    assert process.wait(60) == 3
    logs = fleet.logs()
    assert "the lifespan failed before the worker started: OSError: no such database" in logs
    assert "in lifespan" in logs
    assert butler.storage.workers() == []


def test_a_timeout_a_cancel_and_a_drain_are_seen_by_the_provider(butler, fleet, journal):
    process = fleet.start_worker("--drain-timeout", "0.5", app=APP)
    with pytest.raises(TaskFailed, match=r"timeout_s=0\.3"):
        butler.enqueue("overdue", max_attempts=1).result(timeout_s=60)
    handle = butler.enqueue("endless")
    wait_for(lambda: handle.status is ExecutionStatus.RUNNING, what="it runs", fleet=fleet)
    handle.cancel()
    with pytest.raises(TaskCancelled):
        handle.result(timeout_s=30)
    handle = butler.enqueue("endless")
    wait_for(lambda: handle.status is ExecutionStatus.RUNNING, what="it runs", fleet=fleet)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert lines(journal) == [
        "open",
        "open pool",
        "rolled back: TaskTimeout",
        "rolled back: CancelledError",
        "rolled back: CancelledError",
        "close pool",
        "close",
    ]


def test_a_process_of_its_own_has_a_lifespan_and_values_of_its_own(butler, fleet, journal):
    process = fleet.start_worker(app="lifespan_app:isolating")
    handle = butler.enqueue("isolated")
    assert handle.result(timeout_s=60) == "session of pool in True"
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    # Two or three lifespans: the worker's, that of the process that ran it, and that of another
    # one kept warm, which may not have come up, or be killed while it did.
    opened, closed = (lines(journal).count(word) for word in ("open", "close"))
    assert (opened, closed) in [(2, 2), (3, 3), (3, 2)]
    assert lines(journal).count("open pool") == lines(journal).count("close pool") == 1
