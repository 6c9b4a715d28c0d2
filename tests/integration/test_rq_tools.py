"""RQ's own tools against a busy Butler: what they show, and that looking hurts nothing."""

import json
import socket
import time
import urllib.request
from datetime import UTC, datetime

import pytest
import rq
from fleet import live_workers, wait_for
from rq.job import Job
from rq_app import Item, add
from rq_kit import butler, client, fleet, status_of, wait_until_running

from butler.errors import TaskFailed
from butler.executions import ExecutionStatus, Priority
from butler.hands import FINISHED_KEPT, Announcement, Hand, Settled
from butler.ids import new_id, new_token
from butler.queues import QueueWire, WireKeys
from butler.storage.records import QueueEntry

__all__ = ["butler", "client", "fleet"]

LEDGER = "11111111-2222-4333-8444-555555555555"


@pytest.fixture
def busy(butler, client, fleet):
    """A worker that runs one execution, has failed and finished one, and has four waiting."""
    fleet.start_worker("--drain-timeout", "0.1", concurrency=1)
    # RQ's counters count from here.
    wait_for(lambda: rq.Worker.all(connection=client), what="registered with RQ", fleet=fleet)
    done = butler.enqueue("work", Item())
    failed = butler.enqueue("broken", Item())
    with pytest.raises(TaskFailed):
        failed.result(timeout_s=30)
    done.result(timeout_s=30)
    running = butler.enqueue("until_cancelled", Item())
    wait_for(lambda: shown(client, running) == "started", what="announced", fleet=fleet)
    wait_for(lambda: shown(client, failed) == "failed", what="settled", fleet=fleet)
    waiting = [butler.enqueue("work", Item(n=n)) for n in range(3)]
    urgent = butler.enqueue("work", Item(), priority=Priority.HIGH)
    return {"done": done, "failed": failed, "running": running, "waiting": [*waiting, urgent]}


@pytest.fixture
def dashboard(fleet):
    """The real rq-dashboard on loopback; asks it for JSON, and posts as its buttons do."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    where = ["--bind", "127.0.0.1", "--port", str(port), "--redis-url", fleet.redis_url]
    fleet._start("dashboard", ["rq_dashboard", *where])
    dashboard = Dashboard(f"http://127.0.0.1:{port}")
    wait_for(dashboard.answers, what="the dashboard", fleet=fleet)
    return dashboard


class Dashboard:
    def __init__(self, url):
        self.url = url

    def answers(self):
        try:
            return self.page("/")
        except OSError:
            return False

    def page(self, path, *, method="GET"):
        request = urllib.request.Request(self.url + path, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read().decode()

    def read(self, path):
        return json.loads(self.page(f"/0/data/{path}.json"))

    def press(self, path):
        return json.loads(self.page(path, method="POST"))


def shown(client, handle):
    return Job.fetch(handle.id, connection=client).get_status()


# rq-dashboard


def test_the_dashboard_shows_queues_with_what_waits_runs_and_failed(busy, dashboard):
    queues = {queue["name"]: queue for queue in dashboard.read("queues")["queues"]}
    assert set(queues) == {"default", "default.high"}
    default = queues["default"]
    assert (default["count"], queues["default.high"]["count"]) == (3, 1)
    assert (default["started_job_registry_count"], default["failed_job_registry_count"]) == (1, 1)
    assert default["finished_job_registry_count"] == 1


def test_the_dashboard_shows_the_worker_and_what_it_runs(butler, busy, dashboard):
    (worker,) = dashboard.read("workers")["workers"]
    (row,) = live_workers(butler)
    assert (worker["name"], worker["pid"], worker["state"]) == (row.name, row.pid, "busy")
    assert worker["queues"] == ["default.high", "default", "default.low"]
    assert worker["current_job"]["job_id"] == busy["running"].id
    assert worker["current_job"]["description"] == "until_cancelled"
    assert (worker["successful_job_count"], worker["failed_job_count"]) == (1, 1)


def test_the_dashboard_shows_a_failure_with_its_traceback(busy, dashboard):
    (job,) = dashboard.read("jobs/default/failed/8/asc/1")["jobs"]
    assert (job["id"], job["description"]) == (busy["failed"].id, "broken")
    assert "ZeroDivisionError" in job["exc_info"]


def test_the_dashboards_pages_open(busy, dashboard):
    for path in ("/", "/0/view/workers", "/0/view/jobs"):
        assert "RQ" in dashboard.page(path)
    for handle in (busy["running"], busy["failed"], busy["done"], busy["waiting"][0]):
        assert handle.id in dashboard.page(f"/0/view/job/{handle.id}")
        assert dashboard.read(f"job/{handle.id}")["origin"] == "default"


def test_no_request_is_shown_in_the_dashboard(butler, client, dashboard):
    handle = butler.enqueue("work", Item(path="a-secret"))
    everything = dashboard.page(f"/0/data/job/{handle.id}.json")
    everything += dashboard.page("/0/data/jobs/default/queued/8/asc/1.json")
    assert handle.id in everything
    assert "a-secret" not in everything


def test_the_dashboards_requeue_button_is_an_operators_retry(busy, fleet, dashboard):
    failed, running = busy["failed"], busy["running"]
    running.cancel()
    assert dashboard.press(f"/job/{failed.id}/requeue") == {"status": "OK"}
    wait_for(lambda: failed.execution().attempt == 2, what="tried again", fleet=fleet)


def test_the_dashboards_delete_button_does_not_touch_the_ledger(busy, client, fleet, dashboard):
    waiting, failed = busy["waiting"][0], busy["failed"]
    for handle in (waiting, failed):
        assert dashboard.press(f"/job/{handle.id}/delete") == {"status": "OK"}
    assert not client.exists(WireKeys.job(waiting.id))
    assert (status_of(waiting), status_of(failed)) == (
        ExecutionStatus.QUEUED,
        ExecutionStatus.FAILED,
    )
    fleet.start_scheduler()
    busy["running"].cancel()
    assert waiting.result(timeout_s=60) == 0


# rq info, suspend, resume


def test_rq_info_shows_queues_and_workers(butler, busy, fleet):
    lines = fleet.rq("info", "--raw").splitlines()
    (row,) = live_workers(butler)
    assert "queue default 3, 1 executing, 1 finished, 1 failed" in lines
    assert "queue default.high 1, 0 executing, 0 finished, 0 failed" in lines
    (worker,) = [line for line in lines if line.startswith(f"worker {row.name}")]
    assert "busy" in worker


def test_rq_suspend_and_resume_hold_for_butlers_workers(butler, fleet):
    fleet.start_worker()
    butler.enqueue("work", Item()).result(timeout_s=30)
    fleet.rq("suspend")
    held = [butler.enqueue("work", Item(n=n)) for n in range(20)]
    fleet.rq("info", "--raw")
    assert {status_of(handle) for handle in held} == {ExecutionStatus.QUEUED}
    fleet.rq("resume")
    assert [handle.result(timeout_s=10) for handle in held] == list(range(20))


# RQ's maintenance


def test_maintenance_leaves_a_live_execution_alone(client, fleet, busy):
    fleet.rq("info")
    fleet.run_rq_worker(queues=("other",))
    assert shown(client, busy["running"]) == "started"
    assert status_of(busy["running"]) is ExecutionStatus.RUNNING


def test_an_execution_that_maintenance_took_for_abandoned_goes_on_and_is_shown_as_it_ends(
    butler, client, fleet
):
    fleet.start_worker()
    handle = butler.enqueue("work", Item(n=5, seconds=4))
    wait_until_running(handle, fleet)
    wait_for(lambda: shown(client, handle) == "started", what="announced", fleet=fleet)
    # As if its worker had been stopped for two minutes.
    client.zadd(WireKeys.registry("wip", "default"), {f"{handle.id}:1": time.time() - 30})
    fleet.rq("info", "--raw")
    assert (shown(client, handle), status_of(handle)) == ("failed", ExecutionStatus.RUNNING)
    assert 0 < client.ttl(WireKeys.job(handle.id)) <= 86_400
    assert handle.result(timeout_s=20) == 5
    wait_for(lambda: shown(client, handle) == "finished", what="shown", fleet=fleet)
    assert rq.registry.FailedJobRegistry("default", connection=client).get_job_ids() == []


# The wire beneath


@pytest.fixture
def wire(client):
    return QueueWire(client, ledger_id=LEDGER)


@pytest.fixture
def hand(client):
    hand = Hand(client, worker_id=new_id(), worker_name="host.1.abcdef", queues=["mail"])
    hand.open()
    return hand


def pushed(wire, *, attempt=0, execution_id=None):
    entry = QueueEntry(
        id=execution_id or new_id(),
        task="send",
        queue="mail",
        priority=Priority.NORMAL,
        attempt=attempt,
        timeout_s=30.0,
        created_at=datetime.now(UTC),
    )
    wire.push([entry])
    return entry


def settled(entry, status, *, attempt=1, error=""):
    return Settled(
        id=entry.id,
        attempt=attempt,
        queue="mail",
        priority=Priority.NORMAL,
        status=status,
        error=error,
    )


def test_an_error_is_kept_where_rq_keeps_results_until_a_later_attempt_succeeds(client, wire, hand):
    entry = pushed(wire)
    hand.pop(1, token=new_token())
    hand.settle([settled(entry, "failed", error="Boom: naïve\nline two")])
    job = Job.fetch(entry.id, connection=client)
    assert job.latest_result().exc_string == "Boom: naïve\nline two"
    assert 0 < client.ttl(WireKeys.results(entry.id)) <= 86_400
    pushed(wire, attempt=1, execution_id=entry.id)
    hand.pop(1, token=new_token())
    hand.settle([settled(entry, "finished", attempt=2)])
    assert job.latest_result() is None


def test_a_settlement_of_many_keeps_each_error_with_its_execution(client, wire, hand):
    entries = [pushed(wire) for _ in range(4)]
    hand.pop(4, token=new_token())
    hand.settle(
        [
            settled(entries[0], "finished"),
            settled(entries[1], "failed", error="first"),
            settled(entries[2], "finished", attempt=2),
            settled(entries[3], "canceled", error="second"),
        ]
    )
    jobs = [Job.fetch(entry.id, connection=client) for entry in entries]
    results = [job.latest_result() for job in jobs]
    assert [result and result.exc_string for result in results] == [None, "first", None, "second"]


def test_finished_plain_jobs_do_not_make_room_for_ours(client, wire, hand):
    plain = [f"plain-{n}" for n in range(FINISHED_KEPT + 50)]
    for job_id in plain:
        client.hset(WireKeys.job(job_id), mapping={"status": "finished", "data": "x"})
    registry = WireKeys.registry("finished", "mail")
    client.zadd(registry, {job_id: time.time() + 500 for job_id in plain})
    for _ in range(3):
        entry = pushed(wire)
        hand.pop(1, token=new_token())
        hand.settle([settled(entry, "finished")])
    assert client.zcard(registry) == len(plain) + 3
    assert client.exists(*(WireKeys.job(job_id) for job_id in plain)) == len(plain)


def test_a_renewed_announcement_takes_an_execution_back_from_maintenance(client, wire, hand):
    entry = pushed(wire)
    hand.pop(1, token=new_token())
    shown_as = Announcement(
        id=entry.id,
        attempt=1,
        queue="mail",
        priority=Priority.NORMAL,
        started_at=datetime.now(UTC),
    )
    hand.announce([shown_as])
    wip = rq.registry.StartedJobRegistry("mail", connection=client)
    wip.cleanup(timestamp=time.time() + 1_000)
    failed = rq.registry.FailedJobRegistry("mail", connection=client)
    assert failed.get_job_ids() == [entry.id]
    hand.announce([shown_as])
    job = Job.fetch(entry.id, connection=client)
    assert (job.get_status(), failed.get_job_ids()) == ("started", [])
    assert client.ttl(WireKeys.job(entry.id)) == -1


def test_a_plain_job_beside_ours_is_finished_by_rq(client, fleet, wire):
    job = rq.Queue("mail", connection=client).enqueue(add, 2, 2)
    fleet.run_rq_worker(queues=("mail",))
    assert (job.get_status(), job.return_value()) == ("finished", 4)
