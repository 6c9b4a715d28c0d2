from datetime import timedelta

from ledger_driver import fail, new_execution, race
from recurring_kit import (
    FUTURE,
    LATER,
    PAST,
    SCHEDULE,
    add,
    changed,
    definition,
    due,
    fire,
    fired,
    get,
    plan,
)

from butler import lifecycle
from butler.executions import ExecutionStatus, Priority
from butler.recurring.job import FireOutcome, JobStatus
from butler.storage.recurring_records import FireQuery, FireRow, RecurringStep

S = ExecutionStatus
O = FireOutcome  # noqa: E741


def history(storage, said, **filters):
    return storage.recurring_fires(FireQuery(job_id=said.id, **filters))


def waiting(fire_at=PAST):
    return FireRow(fire_at=fire_at, outcome=O.WAITING)


def trigger(said, row):
    """A step as a trigger by hand makes it."""
    return RecurringStep(job_id=said.id, version=None, fires=(row,))


def test_a_fire_makes_a_queued_execution_and_moves_the_job_on(storage, ledger):
    said = add(storage)
    row = fired(queue="mail", priority=Priority.HIGH, timeout_s=4.0, max_attempts=7, tags=("x",))
    [reply] = fire(storage, plan(said, row))
    assert reply.applied
    [entry] = reply.entries
    assert (row.execution.id, "Send Mail", "mail", Priority.HIGH, 0, 4.0) == (
        entry.id,
        entry.task,
        entry.queue,
        entry.priority,
        entry.attempt,
        entry.timeout_s,
    )
    execution = ledger.get(entry.id)
    assert (
        execution.status,
        execution.request,
        execution.max_attempts,
        execution.tags,
        execution.run_at,
    ) == (S.QUEUED, {"n": 1}, 7, ("x",), PAST)
    job = get(storage, said)
    assert (job.next_fire_at, job.last_fire_at, job.fires, job.version) == (LATER, PAST, 1, 1)


def test_a_fired_execution_runs_like_any_other(storage, ledger):
    row = fired()
    fire(storage, plan(add(storage), row))
    [claimed] = ledger.won(row.execution.id)
    ledger.done(lifecycle.succeed(claimed, result="1"))
    assert ledger.status(row.execution.id) == S.SUCCEEDED


def test_an_execution_can_have_a_request_of_its_own(storage, ledger):
    row = fired(request='{"n": 2}')
    fire(storage, trigger(add(storage), row))
    assert ledger.get(row.execution.id).request == {"n": 2}


def test_no_fire_time_fires_twice(storage, ledger):
    said = add(storage)
    first, second = fired(), fired()
    fire(storage, plan(said, first))
    [reply] = fire(storage, plan(said, second))
    assert not reply.applied
    assert storage.get(second.execution.id) is None
    assert get(storage, said).fires == 1


def test_not_even_when_the_next_fire_time_was_set_back(storage):
    said = add(storage)
    fire(storage, plan(said, fired()))
    storage.change_recurring([changed(said, next_fire_at=PAST, due_at=PAST)])
    second = fired()
    [reply] = fire(storage, plan(said, second, version=2))
    assert reply.applied
    assert reply.entries == ()
    assert storage.get(second.execution.id) is None
    assert len(history(storage, said)) == 1


def test_of_schedulers_that_decided_the_same_fire_one_fires(storage, ledger):
    for _ in range(5):
        said = add(storage)
        rows = [fired() for _ in range(4)]
        replies = race(*[lambda row=row, said=said: fire(storage, plan(said, row)) for row in rows])
        assert sum(reply.applied for [reply] in replies) == 1
        made = [row for row in rows if storage.get(row.execution.id) is not None]
        assert len(made) == 1
        assert [made[0].execution.id] == [f.execution_id for f in history(storage, said)]


def test_only_the_present_leader_fires(storage, ledger):
    said = add(storage)
    old = ledger.lead("a")
    epoch = ledger.lead("b")
    row = fired()
    [reply] = fire(storage, plan(said, row), epoch=old)
    assert not reply.applied
    assert storage.get(row.execution.id) is None
    assert history(storage, said) == []
    [reply] = fire(storage, plan(said, row), epoch=epoch)
    assert reply.applied


def test_a_job_that_changed_after_the_decision_does_not_fire(storage):
    said = add(storage)
    storage.change_recurring([changed(said, enabled=False, due_at=None)])
    row = fired()
    [reply] = fire(storage, plan(said, row))
    assert not reply.applied
    assert storage.get(row.execution.id) is None


def test_no_job_fires_before_its_time(storage):
    said = add(storage, due_at=FUTURE)
    [reply] = fire(storage, plan(said, fired()))
    assert not reply.applied
    assert history(storage, said) == []


def test_a_fire_that_was_decided_before_another_execution_started_is_not_done(storage):
    said = add(storage)
    by_hand, row = fired(PAST - timedelta(seconds=1), manual=True), fired()
    fire(storage, trigger(said, by_hand))
    [reply] = fire(storage, plan(said, row, tracked=()))
    assert not reply.applied
    assert due(storage, said).tracked == (by_hand.execution.id,)
    [reply] = fire(storage, plan(said, row, tracked=(by_hand.execution.id,)))
    assert reply.applied


def test_a_pause_that_races_a_fire_is_obeyed_from_then_on(storage):
    for _ in range(5):
        said = add(storage)
        _, [paused] = race(
            lambda said=said: fire(storage, plan(said, fired())),
            lambda said=said: storage.change_recurring([changed(said, enabled=False, due_at=None)]),
        )
        assert paused
        assert due(storage, said) is None
        [reply] = fire(storage, plan(said, fired(LATER), expected=LATER))
        assert not reply.applied


def test_steps_of_many_jobs_are_answered_in_their_order(storage):
    jobs = [add(storage) for _ in range(20)]
    gone = definition()
    steps = [plan(said, fired()) for said in [*jobs, gone]]
    replies = storage.fire_recurring(steps)
    assert [said.id for said in [*jobs, gone]] == [reply.job_id for reply in replies]
    assert [reply.applied for reply in replies] == [True] * 20 + [False]


def test_a_step_that_cannot_be_stored_leaves_the_others_alone(storage):
    good, bad = add(storage), add(storage)
    replies = fire(storage, plan(good, fired()), plan(bad, fired(request='"\\u0000"')))
    assert [reply.applied for reply in replies] == [True, False]
    assert replies[0].refused is None
    assert replies[1].refused
    assert (get(storage, good).next_fire_at, get(storage, bad).next_fire_at) == (LATER, PAST)


def test_what_is_passed_over_is_recorded_with_its_reason(storage):
    said = add(storage)
    rows = (
        FireRow(fire_at=PAST - timedelta(hours=1), outcome=O.MISSED, reason="late", count=59),
        FireRow(fire_at=PAST, outcome=O.SKIPPED, reason="busy"),
    )
    fire(storage, plan(said, *rows, counted=0))
    newest, oldest = history(storage, said)
    assert (
        newest.outcome,
        newest.reason,
        newest.count,
        newest.execution_id,
    ) == (O.SKIPPED, "busy", 1, None)
    assert (oldest.outcome, oldest.reason, oldest.count) == (O.MISSED, "late", 59)
    assert get(storage, said).last_fire_at is None


def test_a_job_that_cannot_fire_is_broken_until_it_can(storage):
    said = add(storage)
    row = FireRow(fire_at=PAST, outcome=O.BROKEN, reason="no such task")
    fire(storage, plan(said, row, counted=0, broken_reason="no such task"))
    job = get(storage, said)
    assert (
        job.status,
        job.broken_reason,
        job.next_fire_at,
    ) == (JobStatus.BROKEN, "no such task", LATER)
    fire(storage, plan(said, fired(LATER), expected=LATER, next_fire_at=FUTURE, due_at=FUTURE))
    assert get(storage, said).status is JobStatus.ACTIVE


def test_a_job_is_over_when_nothing_follows(storage):
    said = add(storage)
    fire(storage, plan(said, fired(), next_fire_at=None, due_at=None))
    assert get(storage, said).status is JobStatus.ENDED
    assert due(storage, said) is None


def test_a_fingerprint_that_was_found_valid_is_kept(storage):
    said = add(storage, fingerprint="old")
    fire(storage, plan(said, fired(), fingerprint="new"))
    assert get(storage, said).fingerprint == "new"


def test_the_unfinished_executions_of_a_job_are_known(storage, ledger):
    said = add(storage)
    one, two, three = fired(), fired(PAST + timedelta(seconds=1)), fired(LATER)
    fire(storage, plan(said, one, two, three, next_fire_at=LATER, due_at=PAST))
    ids = [row.execution.id for row in (one, two, three)]
    assert sorted(ids) == list(due(storage, said).unfinished)
    [claimed] = ledger.won(ids[0])
    ledger.done(fail(claimed))
    ledger.cancel(ids[1])
    found = due(storage, said)
    assert (ids[2],) == found.unfinished
    assert sorted(ids[:2]) == sorted(found.finished)
    ledger.delete(ids[0])
    assert sorted(ids[:2]) == sorted(due(storage, said).finished)
    again = plan(said, expected=LATER, next_fire_at=LATER, due_at=PAST, finished=found.finished)
    fire(storage, again)
    assert due(storage, said).finished == ()
    assert (ids[2],) == due(storage, said).unfinished


def test_a_step_that_does_not_track_adds_nothing_to_them(storage):
    said = add(storage)
    fire(storage, plan(said, fired(), due_at=PAST, tracks=False))
    assert due(storage, said).unfinished == ()


def test_a_waiting_fire_is_seen_and_starts_once(storage, ledger):
    said = add(storage)
    fire(storage, plan(said, waiting(), counted=1, due_at=FUTURE))
    assert storage.recurring_pulse().waiting
    [held] = storage.waiting_recurring(limit=10).jobs
    assert (said.id, (PAST,)) == (held.job.id, held.waiting)
    rows = [fired() for _ in range(3)]
    steps = [RecurringStep(job_id=said.id, version=1, fires=(row,)) for row in rows]
    replies = race(*[lambda step=step: fire(storage, step) for step in steps])
    assert sum(len(reply.entries) for [reply] in replies) == 1
    assert not storage.recurring_pulse().waiting
    [recorded] = history(storage, said)
    assert recorded.outcome == O.FIRED
    assert storage.get(recorded.execution_id) is not None
    job = get(storage, said)
    assert (job.next_fire_at, job.fires) == (LATER, 1)


def test_waiting_fires_come_oldest_first_and_not_of_a_paused_job(storage):
    said = add(storage)
    times = [PAST + timedelta(minutes=n) for n in range(3)]
    fire(storage, plan(said, *[waiting(at) for at in reversed(times)]))
    [held] = storage.waiting_recurring(limit=10).jobs
    assert tuple(times) == held.waiting
    storage.change_recurring([changed(said, enabled=False, due_at=None)])
    assert storage.waiting_recurring(limit=10).jobs == ()


def test_a_trigger_by_hand_leaves_the_schedule_alone(storage):
    said = add(storage)
    at = PAST + timedelta(seconds=7)
    [reply] = fire(storage, trigger(said, fired(at, manual=True)))
    assert reply.applied
    job = get(storage, said)
    assert (job.next_fire_at, job.fires) == (PAST, 0)
    [recorded] = history(storage, said)
    assert (True, at) == (recorded.manual, recorded.fire_at)


def test_a_paused_job_can_be_triggered_and_a_deleted_one_cannot(storage):
    said = add(storage, enabled=False, due_at=None)
    [reply] = fire(storage, trigger(said, fired(manual=True)))
    assert len(reply.entries) == 1
    storage.delete_recurring([said.id])
    [reply] = fire(storage, trigger(said, fired(manual=True)))
    assert (reply.applied, reply.entries) == (False, ())


def test_a_fire_whose_unique_key_is_held_is_skipped(storage, ledger):
    holder = ledger.enqueue(unique_key="k")
    said = add(storage, unique_key="k")
    row = fired(unique_key="k")
    [reply] = fire(storage, plan(said, row))
    assert reply.applied
    assert (reply.entries, reply.held) == ((), (row.execution.id,))
    [recorded] = history(storage, said)
    assert (recorded.outcome, recorded.execution_id) == (O.SKIPPED, None)
    assert "unique key k" in recorded.reason
    ledger.cancel(holder)
    row = fired(LATER, unique_key="k")
    [reply] = fire(storage, plan(said, row, expected=LATER))
    assert [row.execution.id] == [entry.id for entry in reply.entries]
    assert ledger.get(row.execution.id).unique_key == "k"


def test_a_fire_holds_its_unique_key_until_it_ends(storage, ledger):
    row = fired(unique_key="k")
    fire(storage, plan(add(storage), row))
    [second] = storage.insert([new_execution(unique_key="k")])
    assert (row.execution.id, False) == (second.id, second.created)


def test_history_is_paged_filtered_and_tells_how_executions_stand(storage, ledger):
    said = add(storage)
    rows = [fired(PAST + timedelta(minutes=n)) for n in range(5)]
    skipped = FireRow(fire_at=PAST + timedelta(hours=1), outcome=O.SKIPPED, reason="busy")
    fire(storage, plan(said, *rows, skipped))
    [claimed] = ledger.won(rows[4].execution.id)
    ledger.done(lifecycle.succeed(claimed, result="1"))
    page = history(storage, said, limit=3)
    assert [f.execution_status for f in page] == [None, S.SUCCEEDED, S.QUEUED]
    rest = history(storage, said, before=page[-1].fire_at)
    assert [row.fire_at for row in rows[2::-1]] == [f.fire_at for f in rest]
    only = history(storage, said, outcomes=frozenset({O.SKIPPED}))
    assert [f.reason for f in only] == ["busy"]
    assert history(storage, definition()) == []


def test_statistics_count_fires_and_executions(storage, ledger):
    said = add(storage)
    rows = [fired(PAST + timedelta(minutes=n)) for n in range(3)]
    missed = FireRow(fire_at=PAST + timedelta(hours=1), outcome=O.MISSED, count=4)
    fire(storage, plan(said, *rows, missed))
    good, bad = ledger.won(rows[0].execution.id, rows[1].execution.id)
    ledger.done(lifecycle.succeed(good, result="1"))
    ledger.done(fail(bad))
    found = storage.recurring_statistics(said.id)
    assert found.fires == {O.FIRED: 3, O.MISSED: 4}
    assert found.executions == {S.SUCCEEDED: 1, S.FAILED: 1, S.QUEUED: 1}
    assert ledger.get(good.id).finished_at == found.last_success_at
    assert ledger.get(bad.id).finished_at == found.last_failure_at
    assert 0 <= found.mean_duration_s == found.longest_duration_s < 60


def test_statistics_of_a_job_that_never_fired_are_empty(storage):
    found = storage.recurring_statistics(add(storage).id)
    assert (
        found.fires,
        found.executions,
        found.mean_duration_s,
        found.last_success_at,
    ) == ({}, {}, None, None)


def test_the_record_of_its_fires_goes_with_a_job_and_its_executions_stay(storage):
    said = add(storage)
    row = fired()
    fire(storage, plan(said, row))
    storage.delete_recurring([said.id])
    assert history(storage, said) == []
    assert storage.get(row.execution.id) is not None


def test_a_fire_that_races_a_delete_leaves_both_or_neither(storage):
    for _ in range(5):
        said = add(storage, schedule=SCHEDULE)
        row = fired()
        [reply], _ = race(
            lambda said=said, row=row: fire(storage, plan(said, row)),
            lambda said=said: storage.delete_recurring([said.id]),
        )
        assert reply.applied is (storage.get(row.execution.id) is not None)


def test_only_the_leader_cancels_what_overlaps(storage, ledger):
    waiting_id, running = ledger.enqueue(), ledger.running()
    old = ledger.lead("a")
    epoch = ledger.lead("b")
    assert [m for m in storage.cancel_overlapped([waiting_id], epoch=old) if m.changed] == []
    assert ledger.status(waiting_id) == S.QUEUED
    moves = storage.cancel_overlapped([waiting_id, running.id], epoch=epoch)
    assert [move.after for move in moves] == [S.CANCELLED, S.RUNNING]
    assert ledger.get(running.id).cancel_requested_at is not None
