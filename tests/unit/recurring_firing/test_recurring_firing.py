"""What the scheduler does when recurring jobs are due."""

from __future__ import annotations

import pytest
from butler_scheduler.recurring import LOOK_EVERY_S
from recurring_desk import (
    Mail,
    O,
    minute,
)

from butler.errors import QueueUnavailable
from butler.executions import ExecutionStatus
from butler.recurring.job import Misfire
from butler.schedules import Interval
from tests.unit.scheduler_kit import START


def test_a_due_job_is_queued_and_pushed_with_its_own_options_over_the_tasks(desk):
    desk.add(task="mail", request=Mail(to="a"), priority="high", tags=["x"], owner="ann")
    desk.fire(60)
    [execution] = desk.executions()
    assert desk.waiting("mail.high") == [execution.id]
    assert (execution.request, execution.tags) == ({"to": "a"}, ("post", "x"))
    assert (execution.user_id, execution.run_at) == ("ann", minute(1))
    assert desk.jobs.get("job").next_fire_at == minute(2)
    assert desk.history() == [(O.FIRED, minute(1))]


def test_a_job_that_is_not_due_waits(desk):
    desk.add()
    desk.fire(59.99)
    assert desk.executions() == ()


def test_more_jobs_than_a_batch_holds_fire_in_one_tick(desk):
    for n in range(8):
        desk.add(f"job {n}")
    desk.clock.advance(60)
    desk.tick(desk.service)
    assert len(desk.waiting()) == 8


def test_the_next_look_comes_when_the_next_job_is_due_or_soon(desk):
    assert desk.tick(desk.service) == LOOK_EVERY_S
    desk.add()
    assert desk.tick(desk.service) == LOOK_EVERY_S
    desk.clock.advance(59.95)
    assert desk.tick(desk.service) == pytest.approx(0.05)


def test_an_idle_look_is_one_read(desk):
    desk.add()
    desk.ledger.calls.clear()
    desk.tick(desk.service)
    assert desk.ledger.calls == ["recurring_pulse"]


def test_a_scheduler_that_does_not_lead_asks_nothing(desk):
    desk.add()
    desk.leader.wind_down()
    desk.ledger.calls.clear()
    desk.fire(60)
    assert desk.ledger.calls == []


def test_a_deposed_leader_that_has_not_noticed_fires_nothing(desk):
    desk.add()
    desk.depose()
    desk.clock.advance(60)
    desk.tick(desk.service)
    assert desk.executions() == ()
    assert desk.history() == []


def test_two_schedulers_that_both_believe_to_lead_fire_once(desk):
    desk.add()
    other = desk.new_service(desk.leader)
    due = desk.ledger.memory.due_recurring

    def due_to_both(*, limit):
        found = due(limit=limit)
        desk.ledger.memory.due_recurring = due
        desk.tick(other)
        return found

    desk.clock.advance(60)
    desk.ledger.memory.due_recurring = due_to_both
    desk.tick(desk.service)
    assert len(desk.executions()) == 1
    assert desk.history() == [(O.FIRED, minute(1))]


def test_a_push_that_fails_leaves_its_execution_queued(desk, monkeypatch):
    def refuse(entries):
        raise QueueUnavailable("away")

    monkeypatch.setattr(desk.wire, "push", refuse)
    desk.add()
    desk.fire(60)
    [execution] = desk.executions()
    assert execution.status == ExecutionStatus.QUEUED
    assert desk.waiting() == []


def test_jitter_moves_a_jobs_fires_by_its_own_share(desk):
    job = desk.add(jitter_s=30, schedule=Interval(3600, anchor=START))
    due_at = desk.ledger.memory.recurring_pulse().due_in_s
    assert 3600 <= due_at < 3630
    desk.fire(due_at - 0.001)
    assert desk.executions() == ()
    desk.fire(0.001)
    assert desk.history() == [(O.FIRED, job.next_fire_at)]


# Misfires


def test_what_passed_in_an_outage_is_treated_by_each_jobs_policy(desk):
    desk.add("once")
    desk.add("none", misfire="skip", schedule=Interval(3600, anchor=START))
    desk.add("all", misfire="catch_up", overlap="allow")
    desk.fire(2 * 3600 + 30)
    assert desk.history("once") == [(O.MISSED, minute(1)), (O.FIRED, minute(120))]
    assert desk.history("none") == [(O.MISSED, minute(60))]
    assert desk.jobs.history("none")[0].count == 2
    assert desk.history("all")[1:] == [(O.FIRED, minute(n)) for n in range(21, 121)]


def test_catching_up_runs_one_after_the_other(desk):
    desk.add(misfire=Misfire.CATCH_UP)
    desk.fire(190)
    assert len(desk.executions()) == 1
    for n in (2, 3):
        desk.end(*[e.id for e in desk.executions() if e.status == ExecutionStatus.QUEUED])
        desk.fire()
        assert len(desk.executions()) == n
    assert [at for _, at in desk.history()] == [minute(1), minute(2), minute(3)]
    assert {outcome for outcome, _ in desk.history()} == {O.FIRED}
