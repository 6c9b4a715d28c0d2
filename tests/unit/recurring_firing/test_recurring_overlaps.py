"""What a fire does that meets an earlier one, and what breaks a job."""

from __future__ import annotations

from recurring_desk import (
    Mail,
    O,
    minute,
    ping,
    send_with_greeting,
    send_with_subject,
)

from butler import Butler
from butler.executions import ExecutionStatus
from butler.recurring.job import JobStatus, Overlap

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
