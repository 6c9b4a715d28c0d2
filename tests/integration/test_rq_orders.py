"""What is said with RQ's own tools, and what the ledger makes of it."""

import time

import pytest
import rq
from butler_scheduler.leader import Leader
from butler_scheduler.rq_orders import RqOrders
from butler_scheduler.rq_registries import RqRegistries
from fleet import live_workers, wait_for
from rq.job import Job, cancel_job
from rq_app import Item, add
from rq_kit import butler, client, fleet, status_of, wait_until_running

from butler.errors import TaskCancelled, TaskFailed
from butler.executions import ExecutionStatus
from butler.hands import Hands
from butler.queues import WireKeys
from butler.recovery import Recovery
from butler.storage.records import ExecutionQuery

__all__ = ["butler", "client", "fleet"]


@pytest.fixture
def leader(butler):
    # Nobody renews it here.
    leader = Leader(butler.storage, holder="test", lease_s=300)
    leader.tick(0.0)
    assert leader.epoch() is not None
    return leader


@pytest.fixture
def orders(butler, leader):
    recovery = Recovery(butler.storage, butler.wire, Hands(butler.redis))
    return RqOrders(butler.storage, wire=butler.wire, recovery=recovery, leader=leader)


@pytest.fixture
def registries(butler, leader):
    return RqRegistries(wire=butler.wire, leader=leader)


@pytest.fixture
def canceled(client):
    return rq.registry.CanceledJobRegistry("default", connection=client)


def shown(client, handle):
    return Job.fetch(handle.id, connection=client).get_status()


def failed_execution(butler, fleet):
    """A worker, and an execution that failed on it."""
    fleet.start_worker()
    handle = butler.enqueue("broken", Item())
    with pytest.raises(TaskFailed):
        handle.result(timeout_s=30)
    wait_for(
        lambda: rq.registry.FailedJobRegistry("default", connection=butler.redis).get_job_ids(),
        what="shown as failed",
        fleet=fleet,
    )
    return handle


# Cancel


def test_a_waiting_execution_that_rq_cancelled_is_cancelled(butler, client, orders, canceled):
    cancelled, other = butler.enqueue("work", Item()), butler.enqueue("work", Item())
    cancel_job(cancelled.id, connection=client)
    orders.tick(0.0)
    assert status_of(cancelled) is ExecutionStatus.CANCELLED
    assert status_of(other) is ExecutionStatus.QUEUED
    assert canceled.get_job_ids() == [cancelled.id]
    assert 0 < client.ttl(WireKeys.job(cancelled.id)) <= 86_400


def test_a_cancel_while_no_scheduler_ran_is_found_by_the_next(butler, client, orders, canceled):
    handle = butler.enqueue("work", Item())
    cancel_job(handle.id, connection=client)
    client.zadd(canceled.key, {handle.id: time.time() - 86_000})
    orders.tick(0.0)
    assert status_of(handle) is ExecutionStatus.CANCELLED


def test_more_cancels_than_a_page_are_all_heard(butler, client, orders):
    handles = butler.enqueue_many([("work", Item(n=n)) for n in range(1_100)])
    for handle in handles:
        cancel_job(handle.id, connection=client)
    orders.tick(0.0)
    orders.tick(1.0)
    orders.tick(2.0)
    counts = butler.storage.count(ExecutionQuery())
    assert counts == {ExecutionStatus.CANCELLED: 1_100}


def test_a_cancel_seen_while_leadership_was_suspended_is_heard_when_it_goes_on(
    butler, client, orders, leader, monkeypatch
):
    handle = butler.enqueue("work", Item())
    cancel_job(handle.id, connection=client)
    orders.tick(0.0)
    late = butler.enqueue("work", Item())
    cancel_job(late.id, connection=client)
    # The lease runs out between the look and the act, and the same epoch is renewed.
    epochs = [leader.epoch(), None]
    with monkeypatch.context() as patch:
        patch.setattr(leader, "epoch", lambda: epochs.pop(0))
        orders.tick(1.0)
    assert status_of(late) is ExecutionStatus.QUEUED
    orders.tick(2.0)
    assert status_of(late) is ExecutionStatus.CANCELLED


def test_a_running_execution_that_rq_cancelled_is_told_to_end(butler, client, fleet):
    fleet.start_scheduler()
    fleet.start_worker()
    handle = butler.enqueue("until_cancelled", Item())
    wait_until_running(handle, fleet)
    wait_for(lambda: shown(client, handle) == "started", what="announced", fleet=fleet)
    cancel_job(handle.id, connection=client)
    with pytest.raises(TaskCancelled):
        handle.result(timeout_s=20)
    wait_for(lambda: shown(client, handle) == "canceled", what="shown", fleet=fleet)


def test_cancelled_plain_jobs_and_those_of_other_ledgers_are_left_alone(
    butler, client, orders, canceled
):
    butler.enqueue("work", Item())
    job = rq.Queue("default", connection=client).enqueue(add, 1, 1)
    job.cancel()
    others = butler.enqueue("work", Item())
    client.hset(WireKeys.job(others.id), "ledger", "somebody-elses")
    cancel_job(others.id, connection=client)
    before = client.zrange(canceled.key, 0, -1, withscores=True)
    orders.tick(0.0)
    assert client.zrange(canceled.key, 0, -1, withscores=True) == before
    assert status_of(others) is ExecutionStatus.QUEUED
    assert client.ttl(WireKeys.job(job.id)) == -1


def test_a_finished_execution_stays_finished_when_rq_cancels_it(butler, client, fleet, orders):
    handle = butler.enqueue("work", Item(n=1))
    fleet.run_rq_worker()
    cancel_job(handle.id, connection=client)
    orders.tick(0.0)
    assert status_of(handle) is ExecutionStatus.SUCCEEDED
    assert client.ttl(WireKeys.job(handle.id)) > 0


def test_a_standby_scheduler_carries_nothing_out(butler, client, orders, leader):
    leader.stop()
    leader.wind_down()
    assert leader.epoch() is None
    handle = butler.enqueue("work", Item())
    cancel_job(handle.id, connection=client)
    orders.tick(0.0)
    assert status_of(handle) is ExecutionStatus.QUEUED


# Requeue


def test_rq_requeue_of_a_failed_execution_is_an_operators_retry(butler, client, fleet):
    handle = failed_execution(butler, fleet)
    fleet.rq("requeue", "--queue", "default", handle.id)
    wait_for(lambda: handle.execution().attempt == 2, what="tried again", fleet=fleet)
    wait_for(lambda: status_of(handle).finished, what="over again", fleet=fleet)
    assert (status_of(handle), handle.execution().max_attempts) == (ExecutionStatus.FAILED, 2)
    assert "execution.retried_from_rq" in fleet.logs()


def test_rq_requeue_is_a_retry_also_where_a_plain_rq_worker_takes_it(butler, client, fleet):
    handle = butler.enqueue("broken", Item())
    fleet.run_rq_worker()
    assert status_of(handle) is ExecutionStatus.FAILED
    fleet.rq("requeue", "--queue", "default", "--all")
    fleet.run_rq_worker()
    assert (status_of(handle), handle.execution().attempt) == (ExecutionStatus.FAILED, 2)


def test_a_cancelled_execution_that_is_put_on_its_queue_with_rq_runs(butler, client, fleet):
    handle = butler.enqueue("work", Item(n=9))
    handle.cancel()
    queue = rq.Queue("default", connection=client)
    queue.enqueue_job(Job.fetch(handle.id, connection=client))
    fleet.start_worker()
    wait_for(lambda: status_of(handle) is ExecutionStatus.SUCCEEDED, what="it ran", fleet=fleet)


def test_an_id_that_stands_on_its_queue_by_mistake_is_no_retry(butler, client, fleet):
    handle = butler.enqueue("work", Item())
    handle.cancel()
    client.rpush(WireKeys.list("default"), handle.id)
    fleet.start_worker()
    butler.enqueue("work", Item()).result(timeout_s=30)
    assert status_of(handle) is ExecutionStatus.CANCELLED


# Delete and empty


def test_what_rq_deleted_or_emptied_runs_all_the_same(butler, client, fleet):
    deleted, emptied = butler.enqueue("work", Item(n=1)), butler.enqueue("work", Item(n=2))
    Job.fetch(deleted.id, connection=client).delete()
    assert "1 jobs removed" in fleet.rq("empty", "default")
    assert butler.wire.depth("default") == 0
    fleet.start_scheduler()
    fleet.start_worker()
    assert (deleted.result(timeout_s=60), emptied.result(timeout_s=60)) == (1, 2)


def test_a_running_execution_that_rq_deleted_ends_as_usual(butler, client, fleet):
    fleet.start_worker()
    handle = butler.enqueue("work", Item(n=3, seconds=2))
    wait_until_running(handle, fleet)
    wait_for(lambda: shown(client, handle) == "started", what="announced", fleet=fleet)
    Job.fetch(handle.id, connection=client).delete()
    assert handle.result(timeout_s=20) == 3
    wait_for(lambda: not Hands(client).ids(live_workers(butler)[0].id), what="let go", fleet=fleet)
    assert not client.exists(WireKeys.job(handle.id))


# Registries


def test_expired_ids_leave_the_registries_and_plain_jobs_stay(butler, client, registries):
    butler.enqueue("work", Item())
    plain = rq.Queue("default", connection=client).enqueue(add, 1, 1)
    now = time.time()
    for kind in ("finished", "failed", "canceled"):
        client.zadd(WireKeys.registry(kind, "default"), {"old": now - 5, "new": now + 60})
        client.zadd(WireKeys.registry(kind, "default"), {"for-ever": float("inf")})
    client.zadd(WireKeys.registry("canceled", "default"), {plain.id: now - 500})
    registries.tick(0.0)
    for kind in ("finished", "failed"):
        left = client.zrange(WireKeys.registry(kind, "default"), 0, -1)
        assert left == [b"new", b"for-ever"]
    left = client.zrange(WireKeys.registry("canceled", "default"), 0, -1)
    assert left == [plain.id.encode(), b"new", b"for-ever"]


def test_what_a_dead_worker_was_shown_to_run_is_removed_before_rq_calls_it_abandoned(
    butler, client, registries
):
    handle = butler.enqueue("work", Item())
    plain = rq.Queue("default", connection=client).enqueue(add, 1, 1)
    wip, now = WireKeys.registry("wip", "default"), time.time()
    client.zadd(wip, {f"{handle.id}:1": now - 100, f"{handle.id}:2": now + 60})
    client.zadd(wip, {f"{plain.id}:abc": now - 100})
    registries.tick(0.0)
    assert client.zrange(wip, 0, -1) == [f"{plain.id}:abc".encode(), f"{handle.id}:2".encode()]


def test_registries_of_other_ledgers_are_not_looked_at(butler, client, registries):
    butler.enqueue("work", Item())
    client.set(WireKeys.ledger("default"), "somebody-elses")
    client.zadd(WireKeys.registry("failed", "default"), {"old": time.time() - 5})
    registries.tick(0.0)
    assert client.zcard(WireKeys.registry("failed", "default")) == 1


def test_a_full_page_is_followed_by_the_next_soon(butler, client, registries):
    butler.enqueue("work", Item())
    old = time.time() - 5
    client.zadd(WireKeys.registry("failed", "default"), {f"old-{n}": old for n in range(1_500)})
    assert registries.tick(0.0) < 1.0
    assert client.zcard(WireKeys.registry("failed", "default")) == 500
    assert registries.tick(0.0) > 1.0
    assert client.zcard(WireKeys.registry("failed", "default")) == 0
