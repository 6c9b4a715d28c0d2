"""Plain ``rq worker`` processes that run Butler's executions."""

import os
import signal
import threading
import time
from datetime import UTC, datetime

import pytest
import rq
from butler_scheduler.process import SchedulerProcess
from butler_workers.guests import GuestHand
from fleet import live_workers, wait_for
from rq.command import send_stop_job_command
from rq.job import Job
from rq_app import Item
from rq_kit import butler, client, fleet, status_of, wait_until_running

from butler.errors import TaskCancelled
from butler.executions import AttemptOutcome, ExecutionStatus, Priority
from butler.hands import Announcement, Hands
from butler.ids import new_id
from butler.queues import WireKeys

__all__ = ["butler", "client", "fleet"]

WORKER_CLASSES = ["rq.worker.Worker", "rq.worker.SimpleWorker", "rq.worker.SpawnWorker"]


def shown(client, handle):
    """What RQ's own reader says an execution's status is."""
    return Job.fetch(handle.id, connection=client).get_status()


def written_pid(path, fleet):
    wait_for(lambda: path.exists() and path.read_text(), what="its process id", fleet=fleet)
    return int(path.read_text())


@pytest.mark.parametrize("worker_class", WORKER_CLASSES)
def test_executions_run_and_end_in_the_ledger(butler, client, fleet, worker_class):
    handles = [butler.enqueue(name, Item(n=n)) for n, name in enumerate(["work", "awork"])]
    fleet.run_rq_worker("--worker-class", worker_class)
    assert [handle.result(timeout_s=5) for handle in handles] == [0, 1]
    assert [handle.execution().attempt for handle in handles] == [1, 1]
    assert [shown(client, handle) for handle in handles] == ["finished", "finished"]
    assert all(0 < client.ttl(WireKeys.job(handle.id)) <= 60 for handle in handles)


def test_nothing_is_left_of_the_guests_that_ran(butler, client, fleet):
    handle = butler.enqueue("work", Item())
    fleet.run_rq_worker()
    assert status_of(handle) is ExecutionStatus.SUCCEEDED
    assert live_workers(butler) == []
    assert Hands(client).workers() == set()
    wait_for(lambda: not client.exists(WireKeys.guests), what="the guest has left", fleet=fleet)
    assert not client.exists(WireKeys.registry("wip", "default"))


@pytest.mark.parametrize("worker_class", WORKER_CLASSES)
def test_rq_does_not_call_finished_what_is_to_be_tried_again(butler, client, fleet, worker_class):
    handle = butler.enqueue("patient", Item())
    fleet.run_rq_worker("--worker-class", worker_class)
    assert status_of(handle) is ExecutionStatus.RETRYING
    assert shown(client, handle) == "scheduled"
    assert client.ttl(WireKeys.job(handle.id)) == -1
    finished = rq.registry.FinishedJobRegistry("default", connection=client)
    assert finished.get_job_ids() == []


def test_a_failure_is_shown_with_its_traceback(butler, client, fleet):
    handle = butler.enqueue("broken", Item(n=1))
    fleet.run_rq_worker()
    job = Job.fetch(handle.id, connection=client)
    assert (status_of(handle), job.get_status()) == (ExecutionStatus.FAILED, "failed")
    assert "ZeroDivisionError" in job.latest_result().exc_string
    assert rq.registry.FailedJobRegistry("default", connection=client).get_job_ids() == [handle.id]


def test_retries_go_on_until_the_task_succeeds(butler, fleet):
    fleet.start_scheduler()
    fleet.start_rq_worker()
    handle = butler.enqueue("flaky", Item(n=7))
    assert handle.result(timeout_s=60) == 7
    outcomes = [attempt.outcome for attempt in handle.execution().attempts]
    assert outcomes == [AttemptOutcome.FAILED, AttemptOutcome.FAILED, AttemptOutcome.SUCCEEDED]


def test_an_execution_longer_than_every_lease_runs_once(butler, fleet, tmp_path):
    """Longer than lease, the time to take over, and the reconciler's patience (5 s)."""
    path = tmp_path / "runs"
    fleet.environment["BUTLER_LEASE_S"] = "3"
    fleet.start_scheduler()
    fleet.start_rq_worker("--maintenance-interval", "2")
    handle = butler.enqueue("leave_a_line", Item(path=str(path)))
    wait_until_running(handle, fleet)
    fleet.start_worker()
    wait_for(lambda: len(live_workers(butler)) == 2, what="a second worker", fleet=fleet)
    for _ in range(4):
        # Its maintenance is what calls an abandoned job failed.
        fleet.rq("info", "--raw")
        assert status_of(handle) is ExecutionStatus.RUNNING
        time.sleep(2.5)
    (tmp_path / "runs.told").touch()
    handle.result(timeout_s=30)
    assert (handle.execution().attempt, path.read_text()) == (1, "ran\n")


def test_stop_job_cancels_the_execution_in_the_ledger(butler, client, fleet, tmp_path):
    fleet.start_scheduler()
    fleet.start_rq_worker()
    handle = butler.enqueue("deaf", Item(path=str(tmp_path / "pid")))
    written_pid(tmp_path / "pid", fleet)
    # A scheduler that has just begun to lead may push once more what RQ has just popped.
    wait_for(
        lambda: Job.fetch(handle.id, connection=client).worker_name,
        what="shown as running",
        fleet=fleet,
    )
    send_stop_job_command(client, handle.id)
    wait_for(lambda: status_of(handle) is ExecutionStatus.CANCELLED, what="cancelled", fleet=fleet)
    assert shown(client, handle) == "stopped"
    assert not client.exists(WireKeys.guests)
    assert not any(worker.lost for worker in butler.storage.workers())


def test_a_work_horse_that_is_killed_has_crashed_and_its_execution_runs_again(
    butler, fleet, tmp_path
):
    fleet.start_scheduler()
    fleet.start_rq_worker()
    handle = butler.enqueue("once_deaf", Item(n=4, path=str(tmp_path / "pid")))
    os.kill(written_pid(tmp_path / "pid", fleet), signal.SIGKILL)
    assert handle.result(timeout_s=30) == 4
    first, second = handle.execution().attempts
    assert (first.outcome, second.outcome) == (AttemptOutcome.CRASHED, AttemptOutcome.SUCCEEDED)
    assert "killed by signal 9 (SIGKILL)" in first.error.message


def test_an_execution_survives_the_death_of_the_whole_rq_worker(butler, fleet, tmp_path):
    worker = fleet.start_rq_worker()
    handle = butler.enqueue("once_deaf", Item(n=6, path=str(tmp_path / "pid")))
    horse = written_pid(tmp_path / "pid", fleet)
    worker.kill()
    os.kill(horse, signal.SIGKILL)
    scheduler = SchedulerProcess(butler, worker_lease_s=1.0)
    thread = threading.Thread(target=scheduler.run)
    thread.start()
    try:
        wait_for(lambda: status_of(handle) is ExecutionStatus.QUEUED, what="lost", fleet=fleet)
        fleet.run_rq_worker()
    finally:
        scheduler.stop()
        thread.join()
    assert handle.result(timeout_s=5) == 6
    assert handle.execution().attempts[0].outcome is AttemptOutcome.LOST


def test_a_work_horse_that_is_told_to_end_hands_its_execution_back(butler, fleet, tmp_path):
    fleet.start_rq_worker("--max-jobs", "1")
    file = tmp_path / "told"
    handle = butler.enqueue("until_cancelled", Item(path=str(file)))
    wait_for(file.exists, what="the task's first line", fleet=fleet)
    horse = next(worker.pid for worker in live_workers(butler))
    os.kill(horse, signal.SIGTERM)
    wait_for(lambda: status_of(handle) is ExecutionStatus.QUEUED, what="handed back", fleet=fleet)
    assert handle.execution().attempts_used == 0
    assert file.read_text() == "told\n"
    assert butler.wire.depth("default") == 1


def test_a_cancel_reaches_the_task_and_does_not_kill_the_work_horse(butler, fleet, tmp_path):
    fleet.start_rq_worker()
    file = tmp_path / "told"
    handle = butler.enqueue("until_cancelled", Item(path=str(file)))
    wait_for(file.exists, what="the task's first line", fleet=fleet)
    handle.cancel()
    with pytest.raises(TaskCancelled):
        handle.result(timeout_s=20)
    assert file.read_text() == "told\n"


def test_an_id_that_was_queued_twice_is_shown_as_the_ledger_has_it(butler, client, fleet):
    handle = butler.enqueue("work", Item(n=1))
    fleet.run_rq_worker()
    client.rpush(WireKeys.list("default"), handle.id)
    fleet.run_rq_worker()
    assert (handle.execution().attempt, shown(client, handle)) == (1, "finished")
    assert 0 < client.ttl(WireKeys.job(handle.id)) <= 60


def test_an_rq_worker_without_butler_app_says_so_and_loses_nothing(butler, client, fleet):
    del fleet.environment["BUTLER_APP"]
    handle = butler.enqueue("work", Item(n=1))
    fleet.run_rq_worker()
    reason = Job.fetch(handle.id, connection=client).latest_result().exc_string
    assert "start it with BUTLER_APP=module:name" in reason
    assert status_of(handle) is ExecutionStatus.QUEUED
    assert 0 < client.ttl(WireKeys.job(handle.id)) <= 86_400
    fleet.environment["BUTLER_APP"] = "rq_app:butler"
    fleet.start_scheduler()
    fleet.start_rq_worker()
    assert handle.result(timeout_s=60) == 1


def test_an_execution_of_another_ledger_is_refused_by_name(butler, client, fleet):
    handle = butler.enqueue("work", Item(n=1))
    client.hset(WireKeys.job(handle.id), "ledger", "somebody-elses")
    fleet.run_rq_worker()
    reason = Job.fetch(handle.id, connection=client).latest_result().exc_string
    assert "belongs to the ledger somebody-elses" in reason
    assert (status_of(handle), handle.execution().attempt) == (ExecutionStatus.QUEUED, 0)


def test_a_push_that_came_between_does_not_hide_which_rq_worker_runs_it(butler, client):
    handle = butler.enqueue("work", Item())
    hand = GuestHand(
        client, worker_id=new_id(), worker_name="guest", queue="default", rq_worker="rq-7"
    )
    running = Announcement(
        id=handle.id,
        attempt=1,
        queue="default",
        priority=Priority.NORMAL,
        started_at=datetime.now(UTC),
    )
    hand.announce([running])
    job = Job.fetch(handle.id, connection=client)
    assert (job.get_status(), job.worker_name) == ("started", "rq-7")
    assert not client.exists(WireKeys.registry("wip", "default"))
    client.hset(WireKeys.job(handle.id), mapping={"attempt": 1, "status": "scheduled"})
    hand.announce([running])
    assert shown(client, handle) == "scheduled"
