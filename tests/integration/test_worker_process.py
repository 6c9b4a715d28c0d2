"""The real `butler-worker`, its children killed, drained, misled and cancelled."""

import os
import signal
import time

import psycopg
import pytest
import redis
from fleet import live_workers, wait_for
from fleet_app import Item

from butler.errors import TaskCancelled, TaskFailed
from butler.executions import AttemptOutcome, ExecutionStatus
from butler.queues import WireKeys


@pytest.fixture
def ready(butler, fleet):
    """Starts a worker and returns its process once it serves."""

    def start(*options, **settings):
        before = len(live_workers(butler))
        process = fleet.start_worker(*options, **settings)
        wanted = before + settings.get("processes", 1)
        wait_for(lambda: len(live_workers(butler)) == wanted, what="workers", fleet=fleet)
        return process

    return start


def status_of(handle):
    return handle.execution().status


def running(handle):
    return status_of(handle) is ExecutionStatus.RUNNING


def ends_of_workers(butler):
    """(lost, stopped) of each worker."""
    return [(row.lost, row.stopped_at is not None) for row in butler.storage.workers()]


def test_results_of_threads_and_coroutines_come_back_typed(butler, ready):
    ready()
    handles = [butler.enqueue(name, Item(n=n)) for n in range(5) for name in ("work", "awork")]
    assert [handle.result(timeout_s=20) for handle in handles] == [
        n for n in range(5) for _ in "ab"
    ]


def test_a_task_that_fails_twice_is_retried_and_succeeds(butler, fleet, ready):
    ready()
    fleet.start_scheduler()
    handle = butler.enqueue("flaky", Item(n=7))
    assert handle.result(timeout_s=20) == 7
    execution = handle.execution()
    assert [attempt.outcome for attempt in execution.attempts] == [
        AttemptOutcome.FAILED,
        AttemptOutcome.FAILED,
        AttemptOutcome.SUCCEEDED,
    ]
    assert execution.attempts[0].error.message == "attempt 1"


def test_a_thread_that_does_not_listen_is_ended_at_its_timeout(butler, ready):
    ready()
    handle = butler.enqueue("overdue", Item())
    with pytest.raises(TaskFailed, match=r"still running after timeout_s=0\.5"):
        handle.result(timeout_s=20)
    assert handle.execution().attempts[0].outcome is AttemptOutcome.TIMED_OUT


@pytest.mark.parametrize("task", ["endless", "endless_thread"])
def test_a_running_task_is_cancelled_from_another_process(butler, fleet, ready, task):
    ready()
    handle = butler.enqueue(task, Item())
    wait_for(lambda: running(handle), what="it runs", fleet=fleet)
    assert handle.cancel()
    with pytest.raises(TaskCancelled):
        handle.result(timeout_s=10)


def test_a_waiting_execution_is_cancelled_at_once_and_never_runs(butler, ready):
    handle = butler.enqueue("work", Item())
    assert handle.cancel()
    ready()
    butler.enqueue("work", Item()).result(timeout_s=20)
    execution = handle.execution()
    assert (execution.status, execution.attempt) == (ExecutionStatus.CANCELLED, 0)


def test_sigterm_lets_running_tasks_end_exits_with_zero_and_alerts_nobody(butler, fleet, ready):
    process = ready()
    handle = butler.enqueue("work", Item(n=3, seconds=1.0))
    wait_for(lambda: running(handle), what="it runs", fleet=fleet)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert status_of(handle) is ExecutionStatus.SUCCEEDED
    assert ends_of_workers(butler) == [(False, True)]
    [check] = [c for c in butler.health.report().checks if c.name == "lost_workers"]
    assert check.level.value == "healthy"


def test_what_outlives_the_drain_is_handed_back_uncounted_and_its_worker_is_not_lost(
    butler, fleet, ready
):
    process = ready("--drain-timeout", "0.5")
    handle = butler.enqueue("endless", Item())
    wait_for(lambda: running(handle), what="it runs", fleet=fleet)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    execution = handle.execution()
    assert (execution.status, execution.attempts_used) == (ExecutionStatus.QUEUED, 0)
    assert butler.wire.depth("default") == 1
    assert ends_of_workers(butler) == [(False, True)]


def test_a_second_signal_hands_back_at_once(butler, fleet, ready):
    process = ready("--drain-timeout", "60")
    handle = butler.enqueue("endless", Item())
    wait_for(lambda: running(handle), what="it runs", fleet=fleet)
    process.send_signal(signal.SIGTERM)
    wait_for(lambda: "supervisor.signal" in fleet.logs(), what="first signal", fleet=fleet)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert status_of(handle) is ExecutionStatus.QUEUED


def test_a_killed_child_is_replaced_and_its_work_runs_again_without_waiting_for_a_lease(
    butler, fleet, ready
):
    ready(processes=2)
    handle = butler.enqueue("talk", Item(seconds=2.0))
    # The ledger says "running" from the claim on; what has not begun is handed back, and no crash.
    wait_for(handle.logs, what="its code has begun", fleet=fleet)
    victim = handle.execution().worker_id
    pid = next(worker.pid for worker in live_workers(butler) if worker.id == victim)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not running(handle), timeout_s=5.0, what="handed back", fleet=fleet)
    handle.result(timeout_s=30)
    assert handle.execution().attempts[0].outcome is AttemptOutcome.CRASHED
    wait_for(lambda: len(live_workers(butler)) >= 2, what="a replacement", fleet=fleet)


@pytest.mark.timeout(120)
def test_a_task_that_kills_its_process_is_ended_and_its_neighbours_are_not(butler, fleet, ready):
    ready(concurrency=16)
    neighbours = [butler.enqueue("awork", Item(n=n, seconds=1.5)) for n in range(15)]
    wait_for(lambda: all(running(handle) for handle in neighbours), what="15 run", fleet=fleet)
    guilty = butler.enqueue("crash", Item(n=signal.SIGSEGV))
    with pytest.raises(TaskFailed, match=r"its process died 3 times: killed by signal 11"):
        guilty.result(timeout_s=60)
    assert [handle.result(timeout_s=60) for handle in neighbours] == list(range(15))
    assert {handle.execution().crashes for handle in neighbours} == {0}


def test_an_unknown_task_waits_for_a_worker_that_knows_it(butler, fleet, ready, redis_url):
    ignorant = ready(app="fleet_app:few")
    handle = butler.enqueue("work", Item(n=4))
    wait_for(
        lambda: status_of(handle) is ExecutionStatus.SCHEDULED, what="handed back", fleet=fleet
    )
    assert handle.execution().attempts_used == 0
    ignorant.terminate()
    assert ignorant.wait(30) == 0
    fleet.start_scheduler()
    ready()
    assert handle.result(timeout_s=40) == 4


def test_a_worker_without_tasks_exits_with_3_and_says_where_it_looked(fleet):
    process = fleet.start_worker(app="fleet_app:empty")
    assert process.wait(20) == 3
    assert "no task is registered with fleet_app:empty" in fleet.logs()


def test_an_app_that_is_not_there_exits_with_3_and_says_where_it_looked(fleet):
    process = fleet.start_worker(app="nowhere:butler")
    assert process.wait(20) == 3
    assert "no module named 'nowhere'" in fleet.logs()
    assert "looked in" in fleet.logs()


def test_an_old_schema_exits_with_3_naming_the_command(fleet, services):
    fleet.environment["BUTLER_DATABASE_URL"] = services.database_url
    process = fleet.start_worker()
    assert process.wait(20) == 3
    assert "butler migrate" in fleet.logs()


def test_rqs_tools_see_the_worker_and_what_it_runs(butler, fleet, ready, redis_url):
    import rq

    ready()
    client = redis.Redis.from_url(redis_url)
    handle = butler.enqueue("endless", Item())
    registry = rq.registry.StartedJobRegistry("default", connection=client)
    wait_for(lambda: handle.id in registry.get_job_ids(), what="announced", fleet=fleet)
    (worker,) = rq.Worker.all(connection=client)
    job = rq.job.Job.fetch(handle.id, connection=client)
    assert (worker.get_current_job_id(), worker.get_state()) == (handle.id, "busy")
    assert (job.get_status(), job.worker_name, job.description) == (
        "started",
        worker.name,
        "endless",
    )
    assert job.args == (handle.id,)
    rq.command.send_stop_job_command(client, handle.id)
    wait_for(
        lambda: status_of(handle) is ExecutionStatus.CANCELLED, what="stopped by RQ", fleet=fleet
    )
    wait_for(lambda: not registry.get_job_ids(), what="no longer started", fleet=fleet)
    assert job.get_status(refresh=True) == "canceled"


def test_a_suspended_fleet_takes_nothing_until_it_is_resumed(butler, ready, redis_url):
    from rq.suspension import resume, suspend

    client = redis.Redis.from_url(redis_url)
    suspend(client)
    ready()
    handle = butler.enqueue("work", Item(n=1))
    time.sleep(1.5)
    assert status_of(handle) is ExecutionStatus.QUEUED
    resume(client)
    assert handle.result(timeout_s=10) == 1


def test_nothing_is_left_in_redis_when_all_is_done(butler, fleet, ready, redis_url):
    process = ready()
    for handle in butler.enqueue_many([("work", Item(n=n)) for n in range(300)]):
        handle.result(timeout_s=20)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    client = redis.Redis.from_url(redis_url)
    keys = {key.decode() for key in client.scan_iter()}
    leftovers = {key for key in keys if ":job:" not in key and client.ttl(key) == -1}
    assert leftovers <= {
        WireKeys.queues,
        WireKeys.ledger("default"),
        WireKeys.wake("default"),
        WireKeys.epoch,
        WireKeys.registry("finished", "default"),
    }
    assert all(client.ttl(key) > 0 for key in keys if ":job:" in key)


def test_a_foreign_ledgers_execution_is_left_on_the_queue(butler, fleet, ready, redis_url):
    stranger = "0192f000-0000-7000-8000-000000000001"
    client = redis.Redis.from_url(redis_url)
    client.hset(WireKeys.job(stranger), mapping={"ledger": "somebody-elses", "status": "queued"})
    client.rpush(WireKeys.list("default"), stranger)
    ready()
    wait_for(lambda: "fetch.foreign" in fleet.logs(), what="reported", fleet=fleet)
    wait_for(
        lambda: client.lrange(WireKeys.list("default"), 0, -1) == [stranger.encode()],
        what="still there",
        fleet=fleet,
    )


def test_the_audit_of_attempts_names_worker_and_traceback(butler, ready, database_url):
    ready()
    handle = butler.enqueue("broken", Item(n=1))
    with pytest.raises(TaskFailed, match="ZeroDivisionError"):
        handle.result(timeout_s=20)
    (attempt,) = handle.execution().attempts
    assert "fleet_app.py" in attempt.error.traceback
    assert "butler_workers" not in attempt.error.traceback
    with psycopg.connect(database_url) as connection:
        worker = connection.execute("SELECT id::text FROM butler.workers").fetchone()[0]
    assert attempt.worker_id == worker
