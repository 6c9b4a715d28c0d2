"""Plain RQ jobs on Butler's queues: left alone without ``--rq-jobs``, run with it."""

import os
import signal

import pytest
import rq
from fleet import live_workers, wait_for
from rq.job import Job
from rq_app import Item, add, sleep_plainly
from rq_kit import butler, client, fleet, status_of, wait_for_status

from butler.executions import ExecutionStatus, Priority
from butler.queues import WireKeys

__all__ = ["butler", "client", "fleet"]


@pytest.fixture
def queue(client):
    return rq.Queue("default", connection=client)


@pytest.fixture
def ready(butler, fleet, client):
    """Starts a worker with --rq-jobs and waits until both of its halves serve."""

    def start(*options):
        process = fleet.start_worker("--rq-jobs", *options)
        wait_for(lambda: live_workers(butler), what="the worker", fleet=fleet)
        wait_for(lambda: len(rq.Worker.all(connection=client)) == 2, what="RQ's", fleet=fleet)
        return process

    return start


def test_without_the_flag_plain_jobs_stay_where_they_are_and_hold_up_nobody(
    butler, client, fleet, queue
):
    jobs = [queue.enqueue(add, n, 1) for n in range(1_200)]
    early = butler.enqueue("work", Item(n=1))
    fleet.start_worker()
    assert early.result(timeout_s=30) == 1
    late = [butler.enqueue("work", Item(n=n)) for n in range(50)]
    urgent = butler.enqueue("work", Item(n=2), priority=Priority.HIGH)
    assert urgent.result(timeout_s=10) == 2
    assert [handle.result(timeout_s=10) for handle in late] == list(range(50))
    assert queue.job_ids == [job.id for job in jobs]
    assert fleet.logs().count("fetch.foreign") <= 2


def test_plain_jobs_and_executions_pass_each_other(butler, fleet, queue, ready):
    mixed = [(queue.enqueue(add, n, 1), butler.enqueue("work", Item(n=n))) for n in range(20)]
    ready()
    for n, (job, handle) in enumerate(mixed):
        assert handle.result(timeout_s=30) == n
        wait_for_status(job, "finished", fleet)
        assert job.return_value() == n + 1
    assert queue.job_ids == []


def test_no_plain_job_is_taken_while_rq_is_suspended(client, fleet, queue):
    from butler_workers.rq_jobs import PlainQueue

    job = queue.enqueue(add, 1, 1)
    fleet.rq("suspend")
    assert PlainQueue.dequeue_any([queue], None, client) is None
    fleet.rq("resume")
    found, _ = PlainQueue.dequeue_any([queue], None, client)
    assert found.id == job.id


def test_sigterm_lets_the_plain_job_at_hand_end(fleet, queue, ready, tmp_path):
    process = ready()
    job = queue.enqueue(sleep_plainly, 2, str(tmp_path / "pid"))
    wait_for(lambda: (tmp_path / "pid").exists(), what="it runs", fleet=fleet)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert (job.get_status(refresh=True), job.return_value()) == ("finished", "slept")


def test_a_plain_job_that_outlives_the_drain_is_killed(client, fleet, queue, ready, tmp_path):
    process = ready("--drain-timeout", "1")
    queue.enqueue(sleep_plainly, 120, str(tmp_path / "pid"))
    wait_for(lambda: (tmp_path / "pid").exists(), what="it runs", fleet=fleet)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert rq.Worker.all(connection=client) == []


def test_rqs_process_is_replaced_when_it_dies_and_ends_when_its_supervisor_does(
    client, fleet, queue, ready
):
    def pids():
        workers = rq.Worker.all(connection=client)
        return {worker.pid for worker in workers if worker.name.endswith(".rq-jobs")}

    process = ready()
    (first,) = pids()
    os.kill(first, signal.SIGKILL)
    job = queue.enqueue(add, 1, 2)
    wait_for_status(job, "finished", fleet)
    (second,) = pids() - {first}
    process.kill()
    process.wait()
    wait_for(lambda: not alive(second), what="it ends too", fleet=fleet)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_job_that_was_taken_and_never_started_is_found_in_rqs_own_list(client, queue):
    from butler_workers.rq_jobs import take_plain

    job = queue.enqueue(add, 1, 1)
    assert take_plain(client, "default") == job.id
    assert take_plain(client, "default") is None
    assert queue.intermediate_queue.get_job_ids() == [job.id]


def test_executions_are_never_taken_for_plain_jobs(butler, client):
    from butler_workers.rq_jobs import take_plain

    handle = butler.enqueue("work", Item())
    client.delete(WireKeys.job(butler.enqueue("work", Item()).id))
    assert take_plain(client, "default") is None
    assert status_of(handle) is ExecutionStatus.QUEUED
    assert Job.fetch(handle.id, connection=client).get_status() == "queued"
