from __future__ import annotations

import pytest
from ledger_driver import BOOM, fail_or_retry

from butler import lifecycle
from butler.executions import AttemptOutcome, ExecutionStatus
from butler.retries import RetryPolicy

S = ExecutionStatus
IN_AN_HOUR = RetryPolicy(base_s=3600, cap_s=3600, jitter="none")
SIGNAL = "killed by signal 11"


def next_attempt(ledger, id_, **options):
    """Stage and claim; the attempt."""
    ledger.stage()
    [claimed] = ledger.won(id_, **options)
    return claimed


def test_a_failed_attempt_retries_after_its_delay(ledger):
    claimed = ledger.running()
    finished = ledger.finish(fail_or_retry(claimed, policy=IN_AN_HOUR))
    execution = ledger.get(claimed.id)
    assert (finished.applied, finished.status) == (True, S.RETRYING)
    assert (execution.status, execution.error) == (S.RETRYING, BOOM)
    assert execution.finished_at is None
    ended = execution.attempts[0].finished_at
    assert 3599 < (execution.run_at - ended).total_seconds() < 3601
    assert ledger.stage() == []


def test_a_retry_that_is_due_is_staged_and_claimed_again(ledger):
    claimed = ledger.running()
    ledger.done(fail_or_retry(claimed))
    second = next_attempt(ledger, claimed.id)
    assert (second.attempt, second.attempts_used, second.uncounted) == (2, 2, 0)


def test_the_last_counted_failure_is_final(ledger):
    id_ = ledger.enqueue(max_attempts=2)
    ledger.done(fail_or_retry(next_attempt(ledger, id_)))
    assert ledger.status(id_) == S.RETRYING
    ledger.done(fail_or_retry(next_attempt(ledger, id_)))
    execution = ledger.get(id_)
    assert (execution.status, execution.attempts_used, len(execution.attempts)) == (S.FAILED, 2, 2)


def hand_back(claimed):
    return lifecycle.hand_back(claimed, reason="drain")


def lose(claimed):
    return lifecycle.lose(claimed, reason="no heartbeat")


def reschedule(claimed):
    return lifecycle.reschedule(claimed, delay_s=0, reason=None)


@pytest.mark.parametrize("giving_up", [hand_back, lose, reschedule])
def test_an_attempt_that_was_not_its_fault_does_not_count(ledger, giving_up):
    id_ = ledger.enqueue(max_attempts=1)
    for number in range(1, 4):
        claimed = next_attempt(ledger, id_)
        assert (number, 1) == (claimed.attempt, claimed.attempts_used)
        ledger.done(giving_up(claimed))
        execution = ledger.get(id_)
        assert (number, number, 0) == (
            execution.attempt,
            execution.uncounted,
            execution.attempts_used,
        )
    ledger.done(fail_or_retry(next_attempt(ledger, id_)))
    assert ledger.status(id_) == S.FAILED


def test_a_hand_back_without_delay_is_queued_at_once(ledger):
    claimed = ledger.running()
    finished = ledger.finish(hand_back(claimed))
    execution = ledger.get(claimed.id)
    assert S.QUEUED == finished.status == execution.status
    assert execution.queued_at >= execution.created_at
    assert execution.worker_id is None


def test_a_hand_back_with_a_delay_is_scheduled(ledger):
    claimed = ledger.running()
    waiting = lifecycle.hand_back(claimed, reason=lifecycle.UNKNOWN_TASK, delay_s=3600)
    assert ledger.finish(waiting).status == S.SCHEDULED
    assert ledger.stage() == []


def test_a_reschedule_waits_for_its_time(storage, ledger):
    claimed = ledger.running()
    ledger.done(lifecycle.reschedule(claimed, delay_s=3600, reason="rate limited"))
    execution = ledger.get(claimed.id)
    assert (execution.status, execution.error) == (S.SCHEDULED, None)
    assert 3590 < storage.next_due_in_s() <= 3600


def test_a_lost_attempt_says_so(ledger):
    worker = ledger.worker()
    claimed = ledger.running(worker=worker)
    ledger.done(lose(claimed))
    [attempt] = ledger.get(claimed.id).attempts
    assert (AttemptOutcome.LOST, False, worker) == (
        attempt.outcome,
        attempt.counted,
        attempt.worker_id,
    )
    assert (attempt.error.type, attempt.error.message) == ("WorkerLost", "no heartbeat")


def test_a_suspect_of_a_crash_runs_alone_next(ledger):
    claimed = ledger.running()
    finished = ledger.finish(lifecycle.crash(claimed, cause=SIGNAL))
    assert finished.status == S.QUEUED
    assert list(ledger.claim(claimed.id).won) == []
    second = next_attempt(ledger, claimed.id, solo=True)
    assert (second.alone, second.crashes, second.uncounted) == (True, 0, 1)


def test_three_crashes_alone_end_an_execution(ledger):
    claimed = ledger.running(max_attempts=1)
    ledger.done(lifecycle.crash(claimed, cause=SIGNAL))
    for crashes in range(1, lifecycle.CRASHES_ALONE + 1):
        alone = next_attempt(ledger, claimed.id, solo=True)
        ledger.done(lifecycle.crash(alone, cause=SIGNAL))
        assert crashes == ledger.get(claimed.id).crashes
    execution = ledger.get(claimed.id)
    assert (execution.status, execution.attempts_used) == (S.FAILED, 1)
    assert f"its process died 3 times: {SIGNAL}" == execution.error.message
    assert len(execution.attempts) == 4


def test_a_suspect_that_fails_by_itself_runs_among_others_again(ledger):
    claimed = ledger.running()
    ledger.done(lifecycle.crash(claimed, cause=SIGNAL))
    ledger.done(fail_or_retry(next_attempt(ledger, claimed.id, solo=True)))
    assert not next_attempt(ledger, claimed.id).alone


@pytest.mark.parametrize("giving_up", [hand_back, lose])
def test_a_suspect_that_was_given_up_still_runs_alone(ledger, giving_up):
    claimed = ledger.running()
    ledger.done(lifecycle.crash(claimed, cause=SIGNAL))
    alone = next_attempt(ledger, claimed.id, solo=True)
    ledger.done(lifecycle.crash(alone, cause=SIGNAL))
    ledger.done(giving_up(next_attempt(ledger, claimed.id, solo=True)))
    again = next_attempt(ledger, claimed.id, solo=True)
    assert (again.alone, again.crashes) == (True, 1)
