"""How recurring jobs fire, on a ledger in memory and a clock that stands still."""

from __future__ import annotations

from datetime import timedelta

import pytest
from butler_scheduler.clock_guard import HOLD_S, ClockGuard
from butler_scheduler.recurring import GATHER_S, LOOK_EVERY_S, Recurring
from butler_scheduler.stager import Stager
from pydantic import BaseModel
from scheduler_kit import START, Bench

from butler import Butler
from butler.errors import QueueUnavailable
from butler.executions import ExecutionStatus
from butler.lifecycle import fail
from butler.pushing import Pusher
from butler.recurring.firing import Firer
from butler.recurring.job import FireOutcome, JobStatus, Misfire, Overlap
from butler.schedules import Cron, Interval
from butler.storage.records import ExecutionQuery

MINUTELY = Interval(60, anchor=START)
O = FireOutcome  # noqa: E741


class Mail(BaseModel):
    to: str


def send(request: Mail) -> None: ...


class MailWithSubject(Mail):
    subject: str


class MailWithGreeting(Mail):
    greeting: str = "hello"


def send_with_subject(request: MailWithSubject) -> None: ...


def send_with_greeting(request: MailWithGreeting) -> None: ...


def ping() -> None: ...


class Desk(Bench):
    """A bench with recurring jobs: ``jobs`` makes them, ``tick`` fires them."""

    def __init__(self):
        super().__init__()
        self.butler = Butler(
            redis=self.redis, storage=self.ledger.memory, clock=self.clock, name="shop"
        )
        self.butler.task(name="t")(ping)
        self.butler.task(name="mail", queue="mail", tags=["post"])(send)
        self.announce()
        self.jobs = self.butler.recurring
        self.service = self.new_service(self.leader)

    def new_service(self, leader):
        return Recurring(
            self.ledger,
            firer=Firer(
                self.ledger,
                pusher=Pusher(self.wire, clock=self.clock),
                batch=3,
                clock=self.clock,
            ),
            leader=leader,
            guard=ClockGuard(self.clock),
            clock=self.clock,
        )

    def announce(self, butler=None):
        self.ledger.memory.register_tasks((butler or self.butler).tasks())

    def add(self, name="job", *, task="t", schedule=MINUTELY, **options):
        return self.jobs.create(name, task, schedule, **options)

    def fire(self, seconds=0.0):
        """Let time pass in one go, then tick until nothing is due."""
        self.clock.advance(seconds)
        while self.tick(self.service) == GATHER_S:
            pass

    def history(self, name="job"):
        return [
            (fire.outcome, fire.fire_at) for fire in reversed(self.jobs.history(name, limit=1000))
        ]

    def executions(self):
        return self.ledger.memory.find(ExecutionQuery()).executions

    def end(self, execution_id):
        """Let a worker run it, and fail."""
        from butler.ids import new_id
        from butler.storage.records import Claim

        hand = self.worker(new_id())
        claim = Claim(worker_id=hand.worker_id, token=new_id(), ids=(execution_id,))
        [claimed] = self.ledger.memory.claim(claim).won
        from butler.executions import ErrorRecord

        self.ledger.memory.finish([fail(claimed, error=ErrorRecord(type="E", message="m"))])


def minute(n):
    return START + timedelta(minutes=n)


@pytest.fixture
def desk():
    return Desk()


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


# Overlaps


def test_a_fire_that_would_overlap_is_skipped_until_the_earlier_ended(desk):
    desk.add()
    desk.fire(60)
    [first] = desk.executions()
    desk.fire(60)
    assert desk.history()[1] == (O.SKIPPED, minute(2))
    assert first.id in desk.jobs.history("job")[0].reason
    desk.end(first.id)
    desk.fire(60)
    assert desk.history()[2] == (O.FIRED, minute(3))


def test_a_trigger_by_hand_counts_as_running(desk):
    desk.add()
    desk.jobs.trigger("job")
    desk.fire(60)
    assert desk.history()[-1] == (O.SKIPPED, minute(1))


def test_allow_lets_executions_run_side_by_side_and_keeps_no_list_of_them(desk):
    job = desk.add(overlap=Overlap.ALLOW)
    for _ in range(3):
        desk.fire(60)
    assert len(desk.executions()) == 3
    assert desk.ledger.memory._jobs.get(job.id).unfinished == []


def test_a_queued_fire_starts_when_the_earlier_ended(desk):
    desk.add(overlap="queue")
    desk.fire(60)
    desk.fire(60)
    assert desk.history()[1] == (O.WAITING, minute(2))
    [first] = desk.executions()
    desk.end(first.id)
    desk.fire()
    assert desk.history() == [(O.FIRED, minute(1)), (O.FIRED, minute(2))]
    assert len(desk.executions()) == 2


def test_waiting_fires_of_a_paused_job_wait_on(desk):
    desk.add(overlap="queue")
    desk.fire(60)
    desk.fire(60)
    desk.jobs.pause("job")
    desk.end(desk.executions()[0].id)
    desk.fire(300)
    assert len(desk.executions()) == 1
    desk.jobs.resume("job")
    desk.fire()
    assert desk.history()[1] == (O.FIRED, minute(2))


def test_cancel_running_ends_what_waits_and_stops_what_runs(desk):
    desk.add(overlap="cancel_running")
    desk.fire(60)
    [first] = desk.executions()
    desk.fire(60)
    assert desk.ledger.memory.get(first.id).status == ExecutionStatus.CANCELLED
    [second] = [e for e in desk.executions() if e.status == ExecutionStatus.QUEUED]
    assert desk.waiting() == [second.id]
    desk.run(desk.worker())
    listener = desk.redis.pubsub()
    listener.subscribe("rq:pubsub:w1")
    desk.fire(60)
    assert desk.ledger.memory.get(second.id).cancel_requested_at is not None
    told = [listener.get_message() for _ in range(3)]
    assert any(second.id in str(word) for word in told)
    assert len(desk.executions()) == 3


# What cannot fire


def test_a_job_whose_task_is_gone_is_broken_and_blocks_no_other(desk, caplog):
    desk.add("broken")
    desk.add("fine", task="mail", request=Mail(to="a"))
    del desk.ledger.memory._tasks["t"]
    desk.fire(60)
    job = desk.jobs.get("broken")
    assert job.status is JobStatus.BROKEN
    assert "no task named 't'" in job.broken_reason
    assert desk.history("broken") == [(O.BROKEN, minute(1))]
    assert desk.history("fine") == [(O.FIRED, minute(1))]
    assert [r.levelname for r in caplog.records if "recurring.broken" in r.message] == ["ERROR"]


def test_a_broken_job_is_reported_once_and_mends_itself(desk, caplog):
    caplog.set_level("INFO")
    desk.add()
    del desk.ledger.memory._tasks["t"]
    desk.fire(60)
    desk.fire(60)
    desk.announce()
    desk.fire(120)
    assert desk.jobs.get("job").status is JobStatus.ACTIVE
    assert desk.history()[-1] == (O.FIRED, minute(4))
    told = [r.message.split()[0] for r in caplog.records if r.message.startswith("recurring.")]
    assert told == ["recurring.broken", "recurring.mended"]


def test_a_request_is_checked_again_when_the_tasks_schema_changed(desk):
    desk.add(task="mail", request={"to": "a"})
    newer = Butler.in_memory()
    newer.task(name="mail")(send_with_subject)
    desk.announce(newer)
    desk.fire(60)
    job = desk.jobs.get("job")
    assert job.status is JobStatus.BROKEN
    assert "subject" in job.broken_reason
    assert desk.executions() == ()


def test_a_request_that_fits_the_new_schema_fires_and_is_not_checked_again(desk):
    desk.add(task="mail", request={"to": "a"})
    newer = Butler.in_memory()
    newer.task(name="mail")(send_with_greeting)
    desk.announce(newer)
    desk.fire(60)
    [execution] = desk.executions()
    fingerprint = newer.registry.get("mail").fingerprint
    assert fingerprint != desk.butler.registry.get("mail").fingerprint
    assert desk.jobs.get("job").fingerprint == fingerprint
    desk.end(execution.id)
    desk.ledger.calls.clear()
    desk.fire(60)
    assert "get_recurring" not in desk.ledger.calls
    assert len(desk.executions()) == 2


def test_a_schedule_that_cannot_be_read_is_tried_again_and_blocks_no_other(desk):
    from dataclasses import replace

    desk.add("fine")
    job = desk.add("odd")
    row = desk.ledger.memory._jobs.get(job.id)
    readable = row.definition.schedule
    row.definition = replace(row.definition, schedule='{"type": "sundial"}')
    desk.fire(60)
    assert desk.history("fine") == [(O.FIRED, minute(1))]
    broken = desk.jobs.get("odd")
    assert (broken.status, broken.next_fire_at) == (JobStatus.BROKEN, minute(1))
    assert "its schedule cannot be read: type must be one of" in broken.broken_reason
    row.definition = replace(row.definition, schedule=readable)
    desk.fire(60)
    assert desk.jobs.get("odd").status is JobStatus.ACTIVE
    assert desk.history("odd") == [(O.MISSED, minute(1)), (O.FIRED, minute(2))]


def test_a_step_that_the_ledger_refuses_is_recorded_as_broken(desk, monkeypatch):
    desk.add("odd")
    desk.add("fine")
    memory = desk.ledger.memory
    fire = memory.fire_recurring

    def refuse(steps, *, epoch):
        from butler.storage.recurring_records import StepReply

        odd = desk.jobs.get("odd").id
        return [
            StepReply(job_id=step.job_id, applied=False, refused="too odd")
            if step.job_id == odd and step.executions()
            else fire([step], epoch=epoch)[0]
            for step in steps
        ]

    monkeypatch.setattr(memory, "fire_recurring", refuse)
    desk.fire(60)
    assert desk.history("odd") == [(O.BROKEN, minute(1))]
    assert "too odd" in desk.jobs.get("odd").broken_reason
    assert desk.history("fine") == [(O.FIRED, minute(1))]


def test_a_task_is_known_by_its_older_name(desk):
    desk.add()
    newer = Butler.in_memory()
    newer.task(name="new t", aliases=["t"])(ping)
    del desk.ledger.memory._tasks["t"]
    desk.announce(newer)
    desk.fire(60)
    [execution] = desk.executions()
    assert execution.task == "new t"


# The clock


def step_clock(desk, seconds):
    """The ledger's wall clock jumps; nobody's monotonic clock does."""
    desk.clock._now += timedelta(seconds=seconds)


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
