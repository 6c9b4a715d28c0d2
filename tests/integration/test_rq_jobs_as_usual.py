"""What becomes of plain RQ jobs in a worker with ``--rq-jobs``, which all of these share."""

import pytest
import redis
import rq
from fleet import live_workers, wait_for
from rq.command import send_stop_job_command
from rq.job import Callback
from rq_app import Item, add, fail_plainly, fail_twice, on_failure, on_success, sleep_plainly, tasks
from rq_kit import RqFleet, wait_for_status

from butler import Butler

pytestmark = pytest.mark.xdist_group("rq jobs")


@pytest.fixture(scope="module")
def client(services):
    with redis.Redis.from_url(services.redis_url) as client:
        client.flushall()
        yield client


@pytest.fixture(scope="module")
def queue(client):
    return rq.Queue("default", connection=client)


@pytest.fixture(scope="module")
def database_url(new_database):
    with new_database() as url:
        yield url


@pytest.fixture(scope="module")
def butler(services, database_url):
    with Butler(services.redis_url, database_url) as butler:
        for task in tasks:
            butler.register(task)
        yield butler


@pytest.fixture(scope="module", autouse=True)
def fleet(services, database_url, butler, client, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fleet")
    fleet = RqFleet(redis_url=services.redis_url, database_url=database_url, folder=folder)
    fleet.start_worker("--rq-jobs")
    wait_for(lambda: live_workers(butler), what="the worker", fleet=fleet)
    wait_for(lambda: len(rq.Worker.all(connection=client)) == 2, what="RQ's", fleet=fleet)
    yield fleet
    fleet.end()


def test_with_the_flag_a_plain_job_runs_and_its_result_is_rqs(butler, fleet, queue):
    job = queue.enqueue(add, 2, 3)
    handle = butler.enqueue("work", Item(n=4))
    wait_for_status(job, "finished", fleet)
    assert (job.return_value(), handle.result(timeout_s=10)) == (5, 4)
    assert job.latest_result().worker_name.endswith(".rq-jobs")


def test_a_failure_is_recorded_and_its_callback_called(client, fleet, queue):
    job = queue.enqueue(fail_plainly, on_failure=Callback(on_failure))
    wait_for_status(job, "failed", fleet)
    assert "as plain as can be" in job.latest_result().exc_string
    assert client.get(f"told:{job.id}") == b"failure ValueError"


def test_a_success_callback_is_called(client, fleet, queue):
    job = queue.enqueue(add, 1, 1, on_success=Callback(on_success))
    wait_for_status(job, "finished", fleet)
    assert client.get(f"told:{job.id}") == b"success 2"


@pytest.mark.parametrize("interval", [0, 1])
def test_retries_work_with_and_without_a_pause(fleet, queue, tmp_path, interval):
    retry = rq.Retry(max=3, interval=interval)
    job = queue.enqueue(fail_twice, str(tmp_path / "tries"), retry=retry)
    wait_for_status(job, "finished", fleet)
    assert job.return_value() == "at last"
    assert len((tmp_path / "tries").read_text().splitlines()) == 3


def test_a_job_outlives_its_timeout_and_fails(fleet, queue):
    job = queue.enqueue(sleep_plainly, 60, job_timeout=1)
    wait_for_status(job, "failed", fleet)
    assert "JobTimeoutException" in job.latest_result().exc_string


def test_stop_job_stops_a_plain_job(client, fleet, queue, tmp_path):
    job = queue.enqueue(sleep_plainly, 60, str(tmp_path / "pid"))
    wait_for(lambda: (tmp_path / "pid").exists(), what="it runs", fleet=fleet)
    send_stop_job_command(client, job.id)
    wait_for_status(job, "stopped", fleet)
