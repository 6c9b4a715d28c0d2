from __future__ import annotations

from datetime import timedelta

import pytest
from butler_scheduler.pruner import LOOK_EVERY_S, START_OVER_EVERY_S, Pruner
from scheduler_kit import Bench

from butler.storage.records import TaskDefinition
from butler.storage.retention import Retention

DAY_S = 86_400.0


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def pruner(bench):
    return Pruner(bench.ledger, leader=bench.leader, batch=3, clock=bench.clock)


def finish(bench, count=1, **options):
    ids = bench.enqueue(count, **options)
    bench.ledger.memory.cancel(ids)
    return ids


def run(bench, pruner):
    """Tick until it rests."""
    while bench.tick(pruner) < LOOK_EVERY_S:
        pass


def test_what_is_over_its_retention_goes_batch_by_batch(bench, pruner):
    finish(bench, 10)
    young = bench.enqueue(2)
    bench.clock.advance(30 * DAY_S + 1)
    assert bench.tick(pruner) < LOOK_EVERY_S
    assert bench.statuses() == {"cancelled": 7, "queued": 2}
    run(bench, pruner)
    assert bench.statuses() == {"queued": 2}
    assert all(bench.ledger.memory.get(id_) for id_ in young)


def test_it_rests_for_as_long_as_the_last_batch_took(bench, pruner):
    finish(bench, 10)
    bench.clock.advance(31 * DAY_S)
    bench.ledger.answer_s = 0.1
    assert bench.tick(pruner) == pytest.approx(0.7)  # seven calls


def test_what_a_task_says_of_its_own_retention_is_learned_from_the_ledger(bench, pruner):
    definition = TaskDefinition(name="brief", options={"retention_days": 1.0})
    bench.ledger.memory.register_tasks([definition, TaskDefinition(name="other")])
    finish(bench, 2, task="brief")
    finish(bench, 1, task="other")
    bench.clock.advance(DAY_S + 1)
    run(bench, pruner)
    assert bench.statuses() == {"cancelled": 1}


def test_it_goes_on_where_it_was_and_starts_over_once_an_hour(bench, pruner):
    bench.ledger.memory.retention = Retention(cancelled=1, tasks={"kept": 1})
    late = bench.enqueue()
    finish(bench, 4)
    bench.clock.advance(DAY_S + 1)
    run(bench, pruner)
    bench.ledger.memory.cancel(late)
    bench.clock.advance(DAY_S + 1)
    assert bench.statuses() == {"cancelled": 1}
    bench.tick(pruner)
    assert bench.statuses() == {}


def test_what_ended_behind_the_cursor_is_found_when_it_starts_over(bench, pruner):
    [late] = bench.enqueue()
    bench.tick(pruner)
    bench.ledger.memory.cancel([late])
    bench.ledger.memory.retention = Retention.of(1e-6)
    bench.clock.advance(10)
    run(bench, pruner)
    assert bench.statuses() == {"cancelled": 1}
    bench.clock.advance(START_OVER_EVERY_S)
    run(bench, pruner)
    assert bench.statuses() == {}


def test_what_was_removed_is_told_once_it_is_done(bench, pruner, caplog):
    caplog.set_level("INFO")
    finish(bench, 7)
    bench.clock.advance(31 * DAY_S)
    run(bench, pruner)
    run(bench, pruner)
    assert [r.message for r in caplog.records if "pruner" in r.message] == ["pruner.removed rows=7"]


def test_old_workers_go(bench, pruner):
    bench.worker("w1")
    bench.ledger.memory.stop_worker("w1")
    bench.clock.advance(timedelta(days=8).total_seconds())
    bench.tick(pruner)
    assert "w1" not in bench.ledger.memory._workers._workers


def test_a_scheduler_that_does_not_lead_asks_nothing(bench, pruner):
    finish(bench)
    bench.clock.advance(31 * DAY_S)
    bench.leader.wind_down()
    bench.ledger.calls.clear()
    assert bench.tick(pruner) == LOOK_EVERY_S
    assert bench.ledger.calls == []


def test_a_deposed_leader_that_has_not_noticed_removes_nothing(bench, pruner):
    finish(bench)
    bench.clock.advance(31 * DAY_S)
    bench.depose()
    bench.tick(pruner)
    assert bench.statuses() == {"cancelled": 1}
