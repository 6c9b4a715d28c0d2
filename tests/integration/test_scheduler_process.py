"""`butler-scheduler` as processes, on real servers."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

import pytest
import redis
from butler_scheduler.process import SchedulerProcess
from rq_scheduler import Scheduler

from butler.app import Butler
from butler.hands import Hand
from butler.ids import new_id
from butler.queues import QueueWire, WireKeys
from butler.storage.migrate import migrate
from butler.storage.postgres import PostgresStorage
from butler.storage.records import Claim, NewExecution, WorkerRegistration

DEADLINE_S = 45
TAKEOVER_S = 5
# What a busy machine may add to each bound: a process that starves is not what is tested.
SLACK_S = 3


def wait_until(condition, what, *, deadline_s=DEADLINE_S):
    """Poll; returns the seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < deadline_s, f"not within {deadline_s} s: {what}"
        time.sleep(0.02)
    return time.monotonic() - began


class Schedulers:
    """Starts scheduler processes, and ends what is left of them."""

    def __init__(self, folder):
        self.folder = folder
        self.processes = []

    def start(self, redis_url, database_url):
        log = self.folder / f"scheduler-{len(self.processes)}.log"
        env = {
            **os.environ,
            "BUTLER_REDIS_URL": redis_url,
            "BUTLER_DATABASE_URL": database_url,
            # How long a ledger that is away is waited for before an outage is reported.
            "BUTLER_COMMAND_TIMEOUT_S": "2",
        }
        with log.open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "butler_scheduler"],
                env=env,
                cwd=self.folder,
                stderr=stderr,
            )
        process.log = log
        self.processes.append(process)
        return process

    def end(self):
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def schedulers(tmp_path):
    schedulers = Schedulers(tmp_path)
    yield schedulers
    schedulers.end()


@pytest.fixture
def storage(database_url):
    storage = PostgresStorage(database_url)
    storage.prepare()
    yield storage
    storage.close()


@pytest.fixture
def client(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def start(schedulers, redis_url, database_url):
    return lambda: schedulers.start(redis_url, database_url)


def logged(process, text):
    return text in process.log.read_text()


def leading(process, storage):
    holder = storage.leadership().holder
    return holder is not None and f"-{process.pid}-" in holder


def start_leading(start, storage):
    process = start()
    wait_until(lambda: leading(process, storage), "it leads")
    return process


def start_standing_by(start):
    process = start()
    wait_until(lambda: logged(process, "scheduler.started"), "it has started")
    return process


def enqueue(storage, count=1, *, queue="default", **options):
    rows = [
        NewExecution(id=new_id(), task="t", queue=queue, request=None, **options)
        for _ in range(count)
    ]
    for first in range(0, count, 1000):
        storage.insert(rows[first : first + 1000])
    return [row.id for row in rows]


def waiting(client, queue="default"):
    return [raw.decode() for raw in client.lrange(WireKeys.list(queue), 0, -1)]


# Leadership


def test_when_the_leader_is_killed_another_takes_over_after_its_lease(start, storage):
    first = start_leading(start, storage)
    second = start_standing_by(start)
    first.kill()
    took_s = wait_until(lambda: leading(second, storage), "the second leads")
    assert took_s < TAKEOVER_S + SLACK_S
    assert storage.leadership().epoch == 2


def test_when_the_leader_is_stopped_in_order_another_takes_over_at_once(start, storage):
    first = start_leading(start, storage)
    second = start_standing_by(start)
    first.send_signal(signal.SIGTERM)
    took_s = wait_until(lambda: leading(second, storage), "the second leads")
    assert took_s < 1 + SLACK_S / 3
    assert first.wait(DEADLINE_S) == 0
    assert logged(first, "leadership.resigned")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order_also_when_sent_twice(start, storage, number):
    process = start_leading(start, storage)
    process.send_signal(number)
    process.send_signal(number)
    assert process.wait(DEADLINE_S) == 0
    assert storage.leadership().holder is None


def test_a_leader_that_was_paused_lets_go_when_it_continues(start, storage):
    first = start_leading(start, storage)
    second = start_standing_by(start)
    first.send_signal(signal.SIGSTOP)
    took_s = wait_until(lambda: leading(second, storage), "the second leads")
    assert took_s < TAKEOVER_S + SLACK_S
    first.send_signal(signal.SIGCONT)
    wait_until(lambda: logged(first, "leadership.lost"), "the first notices")
    assert leading(second, storage)


# Staging and reconciling


def test_a_delayed_execution_is_pushed_when_it_is_due(start, storage, client):
    start_leading(start, storage)
    ids = [enqueue(storage, delay_s=delay_s)[0] for delay_s in (0.2, 0.6, 1.0)]
    wait_until(lambda: waiting(client) == ids, "all are pushed")
    for id_ in ids:
        execution = storage.get(id_)
        assert 0 <= (execution.queued_at - execution.run_at).total_seconds() < 0.5


def test_after_a_flushall_everything_is_pushed_again(start, storage, client):
    ids = enqueue(storage, 2_000)
    start_leading(start, storage)
    wait_until(lambda: waiting(client) == ids, "what was never pushed is pushed")
    wait_until(lambda: client.exists(WireKeys.epoch), "the reconciler knows this Redis")
    client.flushall()
    took_s = wait_until(lambda: len(waiting(client)) == 2_000, "all are pushed again")
    assert took_s < 2 + SLACK_S
    assert waiting(client) == ids


# Rescue


def run_and_die(storage, client, wire, ids):
    """A worker that claims some ids, holds the others, and never speaks again."""
    worker_id = new_id()
    storage.register_worker(
        WorkerRegistration(
            id=worker_id,
            name="dead.1",
            host="h",
            pid=1,
            supervisor_id=new_id(),
            queues=("default",),
            tasks=("t",),
            concurrency=4,
        )
    )
    hand = Hand(client, worker_id=worker_id, worker_name="dead.1", queues=["default"])
    hand.open()
    wire.push([entry for _, entry in storage.queued(min_age_s=0, after=None, limit=100)])
    assert len(hand.pop(len(ids), token=new_id())) == len(ids)
    claim = Claim(worker_id=worker_id, token=new_id(), ids=tuple(ids[:2]))
    assert len(storage.claim(claim).won) == 2
    client.sadd("rq:workers", WireKeys.worker("dead.1"))


def test_what_a_dead_worker_ran_and_held_is_queued_again_after_a_lease(
    redis_url, database_url, storage, client
):
    ids = enqueue(storage, 5)
    run_and_die(storage, client, QueueWire(client, ledger_id=storage.ledger_id()), ids)
    lease_s = 2.0
    with Butler(redis_url, database_url) as butler:
        process = SchedulerProcess(butler, worker_lease_s=lease_s)
        thread = threading.Thread(target=process.run)
        began = time.monotonic()
        thread.start()
        try:
            wait_until(lambda: sorted(waiting(client)) == ids, "all are queued again")
            took_s = time.monotonic() - began
            wait_until(lambda: client.scard("rq:workers") == 0, "RQ's tools show it no more")
        finally:
            process.stop()
            thread.join(DEADLINE_S)
    assert not thread.is_alive()
    assert lease_s <= took_s < lease_s + 2 + SLACK_S
    assert storage.get(ids[0]).attempts[0].error.message == "worker dead.1 was silent for 2 s"


# rq-scheduler


def test_an_applications_rq_scheduler_jobs_fire(start, storage, client):
    theirs = Scheduler(queue_name="reports", connection=client)
    once = theirs.enqueue_at(datetime(2020, 1, 1, tzinfo=UTC), "application.report")
    often = theirs.schedule(datetime(2020, 1, 1, tzinfo=UTC), "application.report", interval=600)
    process = start_leading(start, storage)
    wait_until(lambda: len(waiting(client, "reports")) == 2, "both are queued")
    assert [once in theirs, often in theirs] == [False, True]
    (key,) = client.keys(f"{Scheduler.redis_scheduler_namespace_prefix}*")
    assert f"-{process.pid}-" in key.decode()
    assert [client.hexists(key, field) for field in ("birth", "death")] == [True, False]
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE_S) == 0
    assert client.hexists(key, "death")


# Outages


def test_it_outlives_both_servers_and_goes_on_when_they_are_back(own_services, schedulers):
    migrate(own_services.database_url)
    process = schedulers.start(own_services.redis_url, own_services.database_url)
    with redis.Redis.from_url(own_services.redis_url) as client:
        storage = PostgresStorage(own_services.database_url)
        wait_until(lambda: leading(process, storage), "it leads")
        own_services.postgres.kill()
        own_services.redis.kill()
        wait_until(lambda: logged(process, "service.failed service=leader"), "it notices")
        assert process.poll() is None
        own_services.start()
        wait_until(lambda: logged(process, "leadership.resumed"), "it leads again")
        ids = enqueue(storage, delay_s=0.1)
        wait_until(lambda: waiting(client) == ids, "it stages again")
        storage.close()
    assert process.poll() is None


def test_it_waits_for_servers_that_are_away_and_can_be_stopped_meanwhile(own_services, schedulers):
    migrate(own_services.database_url)
    own_services.postgres.stop()
    own_services.redis.stop()
    urls = own_services.redis_url, own_services.database_url
    first, second = schedulers.start(*urls), schedulers.start(*urls)
    for process in (first, second):
        wait_until(lambda process=process: logged(process, "scheduler.waiting"), "it waits")
    first.send_signal(signal.SIGTERM)
    assert first.wait(DEADLINE_S) == 0
    own_services.postgres.start()
    storage = PostgresStorage(own_services.database_url)
    wait_until(lambda: leading(second, storage), "it leads without Redis")
    assert logged(second, "scheduler.redis_away")
    ids = enqueue(storage, 3)
    own_services.redis.start()
    with redis.Redis.from_url(own_services.redis_url) as client:
        wait_until(lambda: waiting(client) == ids, "what could not be pushed is pushed")
    storage.close()


def test_a_schema_that_is_not_there_ends_it_with_3_and_the_command_to_run(
    schedulers, redis_url, services
):
    process = schedulers.start(redis_url, services.database_url)
    assert process.wait(DEADLINE_S) == 3
    assert logged(process, "migrate")
