from datetime import timedelta

import pytest
from butler_scheduler.expirer import PERIOD_S, Expirer
from scheduler_kit import START, Bench

from butler.errors import QueueUnavailable


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def expirer(bench):
    return Expirer(bench.ledger, wire=bench.wire, leader=bench.leader, clock=bench.clock, batch=3)


def late(bench, count=1, **options):
    """Executions that expire in ten seconds."""
    return bench.enqueue(count, expires_at=START + timedelta(seconds=10), **options)


def test_what_is_late_is_cancelled_and_leaves_its_queue(bench, expirer):
    late(bench, 2, push=True)
    fresh = bench.enqueue(push=True)
    bench.clock.advance(10)
    assert bench.tick(expirer) == PERIOD_S
    assert bench.waiting() == fresh
    assert bench.statuses() == {"cancelled": 2, "queued": 1}


def test_what_is_scheduled_expires_too(bench, expirer):
    late(bench, delay_s=60)
    bench.clock.advance(10)
    bench.tick(expirer)
    assert bench.statuses() == {"cancelled": 1}


def test_before_its_time_nothing_happens(bench, expirer):
    late(bench)
    bench.clock.advance(9.9)
    bench.tick(expirer)
    assert bench.statuses() == {"queued": 1}


def test_more_than_a_batch_goes_in_one_tick(bench, expirer):
    late(bench, 8)
    bench.clock.advance(10)
    bench.tick(expirer)
    assert bench.statuses() == {"cancelled": 8}


def test_a_scheduler_that_does_not_lead_asks_nothing(bench, expirer):
    late(bench)
    bench.clock.advance(10)
    bench.leader.wind_down()
    bench.ledger.calls.clear()
    bench.tick(expirer)
    assert bench.ledger.calls == []


def test_without_redis_it_is_cancelled_all_the_same(bench, expirer, monkeypatch):
    def refuse(entries):
        raise QueueUnavailable("away")

    monkeypatch.setattr(bench.wire, "withdraw", refuse)
    late(bench, 4)
    bench.clock.advance(10)
    bench.tick(expirer)
    assert bench.statuses() == {"cancelled": 4}
