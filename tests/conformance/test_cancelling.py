from __future__ import annotations

import pytest
from ledger_driver import fail, fail_or_retry, race

from butler import lifecycle
from butler.executions import AttemptOutcome, ExecutionStatus
from butler.ids import new_id
from butler.storage.records import ProgressReport

S = ExecutionStatus
WAITING = [S.SCHEDULED, S.QUEUED, S.RETRYING]


@pytest.mark.parametrize("status", WAITING)
def test_what_waits_is_cancelled_at_once(ledger, status):
    id_ = ledger.put_in(status)
    moved = ledger.cancel(id_)
    execution = ledger.get(id_)
    assert (id_, True, status, S.CANCELLED) == (moved.id, moved.changed, moved.before, moved.after)
    assert moved.worker_name is None
    assert id_ == moved.entry.id
    assert execution.status == S.CANCELLED
    assert execution.finished_at is not None


def test_what_runs_is_asked_to_end(ledger):
    worker = ledger.worker(name="bee")
    claimed = ledger.running(worker=worker)
    moved = ledger.cancel(claimed.id)
    execution = ledger.get(claimed.id)
    assert (moved.changed, moved.before, moved.after) == (True, S.RUNNING, S.RUNNING)
    assert ("bee", claimed.id, 1) == (moved.worker_name, moved.entry.id, moved.entry.attempt)
    assert execution.status == S.RUNNING
    assert execution.cancel_requested_at >= execution.started_at
    assert execution.finished_at is None


def test_asking_twice_keeps_the_first_time(ledger):
    claimed = ledger.running()
    ledger.cancel(claimed.id)
    first = ledger.get(claimed.id).cancel_requested_at
    assert ledger.cancel(claimed.id).changed
    assert first == ledger.get(claimed.id).cancel_requested_at


def test_the_worker_is_told_at_its_next_heartbeat(storage, ledger):
    worker = ledger.worker()
    claimed, other = ledger.running(worker=worker), ledger.running(worker=worker)
    ledger.cancel(claimed.id)
    [reply] = storage.heartbeat([worker])
    assert {claimed.id: True, other.id: False} == {a.id: a.cancel_requested for a in reply.running}


@pytest.mark.parametrize("status", [s for s in S if s.finished])
def test_what_is_finished_is_left_alone(ledger, status):
    id_ = ledger.put_in(status)
    before = ledger.get(id_)
    moved = ledger.cancel(id_)
    assert (False, status, status) == (moved.changed, moved.before, moved.after)
    assert before == ledger.get(id_)


def test_an_unknown_execution_is_reported(ledger):
    moved = ledger.cancel(new_id())
    assert (moved.changed, moved.before, moved.after, moved.entry) == (False, None, None, None)


ENDINGS = {
    "failed": fail,
    "failed with attempts left": fail_or_retry,
    "rescheduled": lambda claimed: lifecycle.reschedule(claimed, delay_s=60, reason=None),
    "cancelled": lifecycle.cancel,
    "drained": lambda claimed: lifecycle.hand_back(claimed, reason="drain"),
    "handed back for another worker": lambda claimed: lifecycle.hand_back(
        claimed, reason=lifecycle.UNKNOWN_TASK, delay_s=5
    ),
    "lost": lambda claimed: lifecycle.lose(claimed, reason="no heartbeat"),
    "crashed": lambda claimed: lifecycle.crash(claimed, cause="exit 1"),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_after_a_request_to_cancel_everything_but_a_success_is_cancelled(ledger, ending):
    claimed = ledger.running()
    ledger.cancel(claimed.id)
    finished = ledger.finish(ENDINGS[ending](claimed))
    execution = ledger.get(claimed.id)
    assert (finished.applied, finished.status) == (True, S.CANCELLED)
    assert execution.status == S.CANCELLED
    assert execution.finished_at is not None
    assert [attempt.number for attempt in execution.attempts] == [1]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_repeated_end_of_a_cancelled_run_is_recognised(ledger, ending):
    claimed = ledger.running()
    ledger.cancel(claimed.id)
    first = ledger.finish(ENDINGS[ending](claimed))
    assert first == ledger.finish(ENDINGS[ending](claimed))


def test_after_a_request_to_cancel_a_success_stays_a_success(ledger):
    claimed = ledger.running()
    ledger.cancel(claimed.id)
    finished = ledger.finish(lifecycle.succeed(claimed, result="1"))
    assert (finished.applied, finished.status) == (True, S.SUCCEEDED)
    assert ledger.get(claimed.id).result == 1


def test_the_record_of_a_cancelled_run_says_how_its_attempt_ended(ledger):
    claimed = ledger.running()
    ledger.cancel(claimed.id)
    ledger.done(fail(claimed))
    [attempt] = ledger.get(claimed.id).attempts
    assert (attempt.outcome, attempt.error.message) == (AttemptOutcome.FAILED, "boom")


def test_a_cancelled_run_reports_no_more_progress(storage, ledger):
    claimed = ledger.running()
    ledger.cancel(claimed.id)
    ledger.done(lifecycle.cancel(claimed))
    before = ledger.get(claimed.id)
    storage.report_progress(
        [
            ProgressReport(
                execution_id=claimed.id,
                attempt=claimed.attempt,
                claim_token=claimed.claim_token,
                percent=50.0,
                message=None,
            )
        ]
    )
    assert before == ledger.get(claimed.id)
    assert storage.events(claimed.id) == []


def test_a_batch_is_answered_in_order(storage, ledger):
    ids = [ledger.put_in(status) for status in S]
    moved = storage.cancel(ids)
    assert ids == [move.id for move in moved]
    assert list(S) == [move.before for move in moved]
    assert [status in lifecycle.CANCELLABLE for status in S] == [move.changed for move in moved]


def test_an_empty_batch_is_fine(storage):
    assert storage.cancel([]) == []


def test_no_claim_slips_between_a_cancel(storage, ledger):
    worker = ledger.worker()
    for _ in range(15):
        id_ = ledger.enqueue()
        moved, reply = race(
            lambda id_=id_: ledger.cancel(id_), lambda id_=id_: ledger.claim(id_, worker=worker)
        )
        execution = ledger.get(id_)
        assert moved.changed
        if reply.won:
            assert (moved.after, execution.status) == (S.RUNNING, S.RUNNING)
            assert execution.cancel_requested_at is not None
        else:
            assert (moved.after, execution.status) == (S.CANCELLED, S.CANCELLED)


def test_a_cancel_that_races_the_end_is_obeyed_or_comes_too_late(storage, ledger):
    for _ in range(15):
        claimed = ledger.running()
        moved, finished = race(
            lambda claimed=claimed: ledger.cancel(claimed.id),
            lambda claimed=claimed: ledger.finish(fail(claimed)),
        )
        expected = S.CANCELLED if moved.changed else S.FAILED
        assert expected == finished.status == ledger.status(claimed.id)


def test_overlapping_cancels_do_not_deadlock(storage, ledger):
    ids = [ledger.enqueue() for _ in range(50)]
    batches = race(
        *[lambda order=order: storage.cancel(order) for order in (ids, ids[::-1], ids[25:] + ids)]
    )
    assert {S.CANCELLED} == {move.after for batch in batches for move in batch}
