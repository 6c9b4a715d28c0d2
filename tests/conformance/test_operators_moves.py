from __future__ import annotations

import pytest
from ledger_driver import fail, fail_or_retry, race

from butler import lifecycle
from butler.executions import ExecutionStatus
from butler.ids import new_id
from butler.storage.records import ExecutionQuery, ProgressReport

S = ExecutionStatus


@pytest.mark.parametrize("status", [S.FAILED, S.CANCELLED])
def test_a_retry_queues_what_failed_or_was_cancelled(ledger, status):
    id_ = ledger.put_in(status)
    moved = ledger.retry(id_)
    execution = ledger.get(id_)
    assert (True, status, S.QUEUED) == (moved.changed, moved.before, moved.after)
    assert (id_, execution.attempt) == (moved.entry.id, moved.entry.attempt)
    assert execution.status == S.QUEUED
    assert execution.queued_at is not None
    assert execution.finished_at is None
    assert execution.cancel_requested_at is None


def test_a_retry_allows_one_more_attempt(ledger):
    id_ = ledger.enqueue(max_attempts=1)
    for number in (1, 2, 3):
        [claimed] = ledger.won(id_)
        assert (number, number, number) == (
            claimed.attempt,
            claimed.attempts_used,
            claimed.max_attempts,
        )
        ledger.done(fail_or_retry(claimed))
        assert ledger.status(id_) == S.FAILED
        assert ledger.retry(id_).changed
    assert len(ledger.get(id_).attempts) == 3


def test_a_retry_of_what_never_ran_leaves_it_all_its_attempts(ledger):
    id_ = ledger.enqueue(max_attempts=3)
    ledger.cancel(id_)
    ledger.retry(id_)
    execution = ledger.get(id_)
    assert execution.max_attempts - execution.attempts_used >= 3


def test_a_retry_resets_the_crash_count(ledger):
    claimed = ledger.running()
    id_ = claimed.id
    ledger.done(lifecycle.crash(claimed, cause="exit 1"))
    for _ in range(lifecycle.CRASHES_ALONE):
        [claimed] = ledger.won(id_, solo=True)
        ledger.done(lifecycle.crash(claimed, cause="exit 1"))
    assert ledger.status(id_) == S.FAILED
    ledger.retry(id_)
    assert ledger.get(id_).crashes == 0
    [claimed] = ledger.won(id_)
    assert (claimed.crashes, claimed.alone) == (0, False)


def test_a_suspect_that_was_cancelled_and_retried_runs_among_others(ledger):
    claimed = ledger.running()
    ledger.done(lifecycle.crash(claimed, cause="exit 1"))
    ledger.cancel(claimed.id)
    ledger.retry(claimed.id)
    [again] = ledger.won(claimed.id)
    assert not again.alone


def test_a_retried_execution_can_succeed(ledger):
    id_ = ledger.put_in(S.FAILED)
    ledger.retry(id_)
    [claimed] = ledger.won(id_)
    ledger.done(lifecycle.succeed(claimed, result="1"))
    execution = ledger.get(id_)
    assert (execution.status, execution.error, execution.result) == (S.SUCCEEDED, None, 1)


def test_a_retry_after_a_cancelled_run_is_not_cancelled_again(ledger):
    claimed = ledger.running()
    ledger.cancel(claimed.id)
    ledger.done(lifecycle.cancel(claimed))
    ledger.retry(claimed.id)
    [again] = ledger.won(claimed.id)
    assert ledger.finish(fail_or_retry(again)).status == S.RETRYING


def test_an_attempt_from_before_the_retry_changes_nothing(ledger):
    claimed = ledger.running()
    ledger.done(fail(claimed))
    ledger.retry(claimed.id)
    before = ledger.get(claimed.id)
    assert not ledger.finish(lifecycle.succeed(claimed, result="1")).applied
    assert before == ledger.get(claimed.id)


@pytest.mark.parametrize("status", [s for s in S if s not in lifecycle.RETRYABLE])
def test_nothing_else_can_be_retried(ledger, status):
    id_ = ledger.put_in(status)
    before = ledger.get(id_)
    moved = ledger.retry(id_)
    assert (False, status, status) == (moved.changed, moved.before, moved.after)
    assert before == ledger.get(id_)


@pytest.mark.parametrize("status", [s for s in S if s.finished])
def test_a_finished_execution_is_deleted_with_its_history(storage, ledger, status):
    id_ = ledger.put_in(status)
    moved = ledger.delete(id_)
    assert (True, status, None) == (moved.changed, moved.before, moved.after)
    assert storage.get(id_) is None
    assert storage.count(ExecutionQuery()) == {}
    assert not ledger.delete(id_).changed


def test_a_deleted_execution_leaves_no_events(storage, ledger):
    claimed = ledger.running()
    report = ProgressReport(
        execution_id=claimed.id,
        attempt=claimed.attempt,
        claim_token=claimed.claim_token,
        percent=1.0,
        message="begun",
    )
    storage.report_progress([report])
    ledger.done(fail(claimed))
    assert len(storage.events(claimed.id)) == 1
    ledger.delete(claimed.id)
    assert storage.events(claimed.id) == []


@pytest.mark.parametrize("status", [s for s in S if not s.finished])
def test_an_unfinished_execution_is_not_deleted(ledger, status):
    id_ = ledger.put_in(status)
    before = ledger.get(id_)
    moved = ledger.delete(id_)
    assert (False, status, status) == (moved.changed, moved.before, moved.after)
    assert before == ledger.get(id_)


def test_children_outlive_their_parent(ledger):
    parent = ledger.put_in(S.SUCCEEDED)
    child = ledger.enqueue(parent_id=parent)
    assert ledger.delete(parent).changed
    assert parent == ledger.get(child).parent_id


@pytest.mark.parametrize("move", ["retry", "delete"])
def test_a_batch_is_answered_in_order(storage, ledger, move):
    ids = [*[ledger.put_in(status) for status in S], new_id()]
    moved = getattr(storage, move)(ids)
    allowed = lifecycle.RETRYABLE if move == "retry" else lifecycle.DELETABLE
    assert ids == [reply.id for reply in moved]
    assert [*S, None] == [reply.before for reply in moved]
    assert [*[status in allowed for status in S], False] == [reply.changed for reply in moved]


@pytest.mark.parametrize("move", ["retry", "delete"])
def test_an_empty_batch_is_fine(storage, move):
    assert getattr(storage, move)([]) == []


def test_of_two_retries_at_once_one_is_made(storage, ledger):
    for _ in range(10):
        id_ = ledger.put_in(S.FAILED)
        moves = race(*[lambda id_=id_: ledger.retry(id_)] * 3)
        assert sorted(moved.changed for moved in moves) == [False, False, True]
        assert [moved.after for moved in moves] == [S.QUEUED, S.QUEUED, S.QUEUED]


def test_a_retry_and_a_delete_at_once_leave_one_of_both(storage, ledger):
    for _ in range(10):
        id_ = ledger.put_in(S.FAILED)
        retried, deleted = race(
            lambda id_=id_: ledger.retry(id_), lambda id_=id_: ledger.delete(id_)
        )
        assert sorted([retried.changed, deleted.changed]) == [False, True]
        assert deleted.changed == (storage.get(id_) is None)
