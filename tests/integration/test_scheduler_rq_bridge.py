"""rq-scheduler's own API on one side, the bridge on the other, a real Redis between."""

import pickle
import time
from datetime import UTC, datetime, timedelta

import pytest
import redis
from butler_scheduler.leader import Leader
from butler_scheduler.rq_bridge import RqBridge
from rq import Queue
from rq.job import Job
from rq_scheduler import Scheduler
from rq_scheduler.utils import get_next_scheduled_time, to_unix

from butler.storage.memory import MemoryStorage

PAST = datetime(2020, 1, 1, tzinfo=UTC)
FUNCTION = "module_that_only_the_application_has.report"
SCHEDULED = Scheduler.scheduled_jobs_key


@pytest.fixture
def client(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def theirs(client):
    """The application's rq-scheduler."""
    return Scheduler(queue_name="reports", connection=client)


@pytest.fixture
def leader():
    leader = Leader(MemoryStorage(), holder="us", lease_s=3600)
    leader.tick(0)
    return leader


@pytest.fixture
def bridge(client, leader):
    return RqBridge(client, leader=leader)


def fire(bridge):
    bridge.tick(time.monotonic())


def queued(client, name="reports"):
    return Queue(name, connection=client).job_ids


def score(client, job):
    return client.zscore(SCHEDULED, job.id)


def test_a_job_scheduled_once_is_queued_and_its_entry_goes(client, theirs, bridge):
    job = theirs.enqueue_at(PAST, FUNCTION, 1, key="value")
    fire(bridge)
    assert queued(client) == [job.id]
    assert job not in theirs
    assert job.get_status() == "queued"
    assert Job.fetch(job.id, connection=client).kwargs == {"key": "value"}


def test_a_job_of_the_future_waits(client, theirs, bridge):
    job = theirs.enqueue_at(datetime.now(UTC) + timedelta(hours=1), FUNCTION)
    fire(bridge)
    assert queued(client) == []
    assert job in theirs


def test_an_interval_job_fires_and_comes_again(client, theirs, bridge):
    job = theirs.schedule(PAST, FUNCTION, interval=60, queue_name="other")
    before = int(time.time())
    fire(bridge)
    assert queued(client, "other") == [job.id]
    assert before + 60 <= score(client, job) <= time.time() + 60


# rq-scheduler asks crontab in a way that crontab warns about.
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_cron_job_fires_and_comes_again_when_rq_scheduler_would_let_it(client, theirs, bridge):
    job = theirs.cron("0 3 1 1 *", FUNCTION)
    client.zadd(SCHEDULED, {job.id: 1})
    fire(bridge)
    assert queued(client) == [job.id]
    assert score(client, job) == to_unix(get_next_scheduled_time("0 3 1 1 *"))


def test_a_repeated_job_fires_as_often_as_it_should(client, theirs, bridge):
    job = theirs.schedule(PAST, FUNCTION, interval=60, repeat=3)
    fired = 0
    while score(client, job) is not None:
        client.zadd(SCHEDULED, {job.id: 1})
        fire(bridge)
        fired += 1
    assert fired == 3
    assert queued(client) == [job.id] * 3


def test_at_front_is_honoured(client, theirs, bridge):
    Queue("reports", connection=client).enqueue(FUNCTION, job_id="first")
    job = theirs.schedule(PAST, FUNCTION, at_front=True)
    fire(bridge)
    assert queued(client) == [job.id, "first"]


def test_a_job_with_a_dependency_waits_for_it_and_leaves_its_entry(client, theirs, bridge):
    first = Queue("reports", connection=client).enqueue(FUNCTION)
    job = theirs.enqueue_at(PAST, FUNCTION, depends_on=first)
    fire(bridge)
    assert job.get_status() == "deferred"
    assert queued(client) == [first.id]
    assert job not in theirs


def test_entries_that_cannot_be_read_stay_and_stop_no_other(client, theirs, bridge, caplog):
    client.hset("rq:job:garbage", mapping={"created_at": "?", "data": "?", "timeout": "soon"})
    client.hset("rq:job:no-data", "origin", "reports")
    client.set("rq:job:no-hash", "text")
    stuck = ["garbage", "no-data", "no-hash"]
    client.zadd(SCHEDULED, dict.fromkeys(stuck, 1))
    job = theirs.enqueue_at(PAST, FUNCTION)
    fire(bridge)
    assert queued(client) == [job.id]
    assert sorted(client.zrange(SCHEDULED, 0, -1)) == [id_.encode() for id_ in stuck]
    fire(bridge)
    told = [r.getMessage() for r in caplog.records if "rq_bridge.stuck" in r.getMessage()]
    assert len(told) == 3


def test_many_entries_that_cannot_be_read_do_not_hide_the_others(client, theirs, bridge):
    for number in range(1_100):
        client.set(f"rq:job:bad{number}", "text")
    client.zadd(SCHEDULED, {f"bad{number}": 1 for number in range(1_100)})
    job = theirs.enqueue_at(PAST, FUNCTION)
    fire(bridge)
    assert queued(client) == [job.id]


def test_an_entry_whose_job_was_deleted_is_removed(client, theirs, bridge):
    job = theirs.enqueue_at(PAST, FUNCTION)
    job.delete()
    fire(bridge)
    assert client.zcard(SCHEDULED) == 0


def test_a_kill_before_the_push_loses_neither_the_fire_nor_the_recurrence(
    client, theirs, bridge, monkeypatch
):
    job = theirs.schedule(PAST, FUNCTION, interval=60)
    due = score(client, job)
    with monkeypatch.context() as patch:

        def die(self):
            raise redis.ConnectionError("killed")

        patch.setattr(redis.client.Pipeline, "execute", die)
        with pytest.raises(Exception, match="killed"):
            bridge.scheduler.enqueue_job(Job.fetch(job.id, connection=client))
    assert (queued(client), score(client, job)) == ([], due)
    fire(bridge)
    assert queued(client) == [job.id]
    assert score(client, job) > due


def test_a_job_cancelled_while_it_is_being_fired_does_not_come_again(client, theirs, bridge):
    job = theirs.schedule(PAST, FUNCTION, interval=60)
    next_time = bridge.scheduler._next_time

    def cancel_meanwhile(fetched):
        theirs.cancel(job)
        return next_time(fetched)

    bridge.scheduler._next_time = cancel_meanwhile
    fire(bridge)
    assert score(client, job) is None


class Exploit:
    ran = False

    def __reduce__(self):
        return setattr, (Exploit, "ran", True)


def test_meta_that_would_run_code_runs_none(client, theirs, bridge):
    job = theirs.schedule(PAST, FUNCTION, interval=60, meta={"x": 1})
    client.hset(job.key, "meta", pickle.dumps({"interval": 60, "x": Exploit()}))
    fire(bridge)
    assert not Exploit.ran
    assert queued(client) == []
    assert score(client, job) == to_unix(PAST)


def test_meta_with_plain_values_is_kept(client, theirs, bridge):
    meta = {"since": PAST, "tags": {"a", "b"}, "every": timedelta(hours=1)}
    job = theirs.enqueue_at(PAST, FUNCTION, meta=meta)
    fire(bridge)
    assert Job.fetch(job.id, connection=client).meta == meta


def test_a_scheduler_that_does_not_lead_fires_nothing(client, theirs, bridge, leader):
    job = theirs.enqueue_at(PAST, FUNCTION)
    leader.wind_down()
    fire(bridge)
    assert queued(client) == []
    assert job in theirs


def test_nothing_fires_while_another_rq_scheduler_is_firing(client, theirs, bridge):
    job = theirs.enqueue_at(PAST, FUNCTION)
    assert theirs.acquire_lock()
    fire(bridge)
    assert queued(client) == []
    theirs.remove_lock()
    fire(bridge)
    assert queued(client) == [job.id]
    assert theirs.acquire_lock()


def test_it_is_registered_like_an_rq_scheduler_until_it_winds_down(client, bridge):
    fire(bridge)
    twin = Scheduler(connection=client, name=bridge.scheduler.name)
    with pytest.raises(ValueError, match="already an active RQ scheduler"):
        twin.register_birth()
    bridge.wind_down()
    twin.register_birth()


def test_it_registers_again_when_redis_was_emptied(client, bridge):
    fire(bridge)
    client.flushall()
    bridge.scheduler.heartbeat()
    assert client.hexists(bridge.scheduler.key, "birth")
