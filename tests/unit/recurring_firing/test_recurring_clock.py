"""What clocks that jump, and decisions made ahead of time, do to fires."""

from __future__ import annotations

from datetime import timedelta

import pytest
from butler_scheduler.clock_guard import HOLD_S, ClockGuard
from butler_scheduler.stager import Stager
from recurring_desk import (
    O,
    minute,
    step_clock,
)

from butler.schedules import Cron


def test_a_jump_of_the_clock_holds_firing_and_is_reported(desk, caplog):
    desk.add(schedule=Cron("0 * * * *"))
    desk.tick(desk.service)
    step_clock(desk, 3600)
    desk.fire(0.2)
    desk.fire(HOLD_S - 1)
    assert desk.executions() == ()
    [word] = [r for r in caplog.records if "clock.jumped" in r.message]
    assert word.levelname == "WARNING"
    assert "by_s=3600.0" in word.message
    desk.fire(1.2)
    assert desk.history() == [(O.FIRED, minute(60))]


def test_a_jump_that_is_taken_back_in_time_loses_nothing(desk):
    desk.add()
    desk.tick(desk.service)
    step_clock(desk, 3600)
    desk.fire(0.2)
    step_clock(desk, -3600)
    desk.fire(0.2)
    desk.fire(59.6)
    assert desk.history() == [(O.FIRED, minute(1))]


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_an_hours_step_fires_nothing_twice(desk, seconds):
    desk.add(overlap="allow", misfire="catch_up")
    desk.add("once", overlap="allow")
    for n in range(300):
        if n == 20:
            step_clock(desk, seconds)
        desk.fire(10)
    for name in ("job", "once"):
        times = [at for _, at in desk.history(name)]
        assert times == sorted(set(times))
    fired = [execution.run_at for execution in desk.executions()]
    assert max(fired.count(at) for at in fired) <= 2  # one of each job
    caught_up = [at for outcome, at in desk.history() if outcome is O.FIRED]
    assert caught_up == [minute(n + 1) for n in range(len(caught_up))]


def test_slow_time_is_no_jump(desk):
    desk.add()
    for _ in range(100):
        desk.clock._now += timedelta(seconds=1)
        desk.fire(1)
    assert len(desk.history()) == 3


def test_the_stager_is_held_too(desk):
    guard = ClockGuard(desk.clock)
    stager = Stager(desk.ledger, wire=desk.wire, leader=desk.leader, guard=guard, clock=desk.clock)
    [id_] = desk.enqueue(delay_s=3000)
    guard.holds(desk.ledger.memory.now())
    step_clock(desk, 3600)
    desk.tick(stager)
    assert desk.waiting() == []
    desk.clock.advance(HOLD_S)
    desk.tick(stager)
    assert desk.waiting() == [id_]


# Deciding ahead


def test_what_is_due_soon_is_decided_before_its_time(desk):
    for n in range(4):
        desk.add(f"job {n}")
    desk.fire(59)
    desk.ledger.calls.clear()
    desk.fire(0.999)
    assert desk.executions() == ()
    desk.fire(0.001)
    assert len(desk.executions()) == 4
    assert desk.ledger.calls.count("fire_recurring") == 2  # batches of three
    assert "task_definitions" not in desk.ledger.calls


def test_a_job_that_was_paused_after_it_was_decided_does_not_fire(desk):
    desk.add("paused")
    desk.add("fine")
    desk.fire(59)
    desk.jobs.pause("paused")
    desk.fire(1)
    assert desk.history("paused") == []
    assert desk.history("fine") == [(O.FIRED, minute(1))]


def test_a_job_that_was_changed_after_it_was_decided_fires_as_it_is_now(desk):
    desk.add(queue="old")
    desk.fire(59)
    desk.jobs.update("job", queue="new")
    desk.fire(1)
    [execution] = desk.executions()
    assert execution.queue == "new"
    assert desk.history() == [(O.FIRED, minute(1))]


def test_what_was_started_by_hand_after_the_decision_is_an_overlap(desk):
    desk.add()
    desk.fire(59)
    desk.jobs.trigger("job")
    desk.fire(1)
    assert desk.history()[-1] == (O.SKIPPED, minute(1))


def test_who_no_longer_leads_forgets_what_it_decided(desk):
    desk.add()
    desk.fire(59)
    desk.leader.wind_down()
    desk.tick(desk.service)
    assert desk.service._firer._ahead == {}


def test_jobs_whose_executions_run_are_decided_at_their_time(desk):
    desk.add()
    desk.fire(60)
    [first] = desk.executions()
    desk.fire(59)
    desk.end(first.id)
    desk.fire(1)
    assert desk.history() == [(O.FIRED, minute(1)), (O.FIRED, minute(2))]
