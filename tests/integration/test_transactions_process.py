"""Transactional enqueues and expiry with the real worker and scheduler as processes."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from fleet import live_workers, wait_for
from fleet_app import Item

from butler.errors import TaskCancelled
from butler.executions import ExecutionStatus
from butler.queues import WireKeys

S = ExecutionStatus


def soon():
    return datetime.now(UTC) + timedelta(seconds=0.2)


def past(handle):
    return datetime.now(UTC) > handle.execution().expires_at


def start_worker(butler, fleet):
    fleet.start_worker()
    wait_for(lambda: live_workers(butler), what="a worker", fleet=fleet)


def test_what_a_transaction_enqueued_runs_after_its_commit(butler, fleet, database_url):
    start_worker(butler, fleet)
    fleet.start_scheduler()
    wait_for(lambda: butler.storage.leadership().holder, what="a leader", fleet=fleet)
    with psycopg.connect(database_url) as connection:
        kept = butler.enqueue("work", Item(n=7), transaction=connection)
        connection.commit()
        lost = butler.enqueue("work", Item(n=8), transaction=connection)
        connection.rollback()
    assert kept.result(timeout_s=20) == 7
    assert butler.get(lost.id) is None


def test_a_worker_that_comes_too_late_starts_nothing(butler, fleet):
    late = butler.enqueue("work", Item(n=1), expires_at=soon())
    wait_for(lambda: past(late))
    start_worker(butler, fleet)
    fresh = butler.enqueue("work", Item(n=2))
    assert fresh.result(timeout_s=20) == 2
    with pytest.raises(TaskCancelled, match="expired"):
        late.result(timeout_s=20)
    assert late.execution().started_at is None
    wait_for(lambda: butler.redis.hget(WireKeys.job(late.id), "status") == b"canceled", fleet=fleet)


def test_what_nobody_pops_expires_with_a_scheduler_alone(butler, fleet):
    fleet.start_scheduler()
    queued = butler.enqueue("work", Item(), expires_at=soon())
    scheduled = butler.enqueue("work", Item(), expires_at=soon(), delay_s=3600)
    for handle in (queued, scheduled):
        with pytest.raises(TaskCancelled, match="expired"):
            handle.result(timeout_s=20)
    wait_for(lambda: butler.wire.depth("default") == 0, what="an empty queue", fleet=fleet)
