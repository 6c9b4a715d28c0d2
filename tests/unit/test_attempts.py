"""What follows from how an attempt ended: design section 4, row by row."""

import asyncio

import pytest
from butler_workers.attempts import (
    Attempt,
    Interrupt,
    Raised,
    Returned,
    conclude,
    hand_back_for_later,
    refuse_request,
)
from pydantic import BaseModel

from butler import RetryPolicy, TaskResult, task
from butler.clock import SYSTEM_CLOCK
from butler.errors import AttemptCancelled, InvalidRequest, TaskTimeout
from butler.executions import AttemptOutcome, ExecutionStatus, Priority
from butler.storage.records import Claimed
from butler.task_spec import spec_of_function


class Size(BaseModel):
    n: int


def double(request: Size) -> int:
    return request.n * 2


def attempt(*, interrupt=None, policy=None, attempts_used=1, max_attempts=3, fingerprint=None):
    options = {} if policy is None else {"retry": policy}
    spec = spec_of_function(double, options)
    claimed = Claimed(
        id="01a20be9-4421-75e9-8340-58742b6c2786",
        attempt=attempts_used,
        claim_token="6b6f1a3e-0000-4000-8000-000000000000",
        task="double",
        queue="default",
        priority=Priority.NORMAL,
        request='{"n": 1}',
        uncounted=0,
        max_attempts=max_attempts,
        crashes=0,
        alone=False,
        timeout_s=None,
        user_id=None,
        tags=(),
        parent_id=None,
        fingerprint=fingerprint,
        created_at=SYSTEM_CLOCK.now(),
    )
    made = Attempt(claimed, spec, claimed_at=0.0, max_result_bytes=1024)
    made.interrupt = interrupt
    return made


def test_a_returned_value_succeeds_with_its_json():
    ended = conclude(attempt(), Returned(4), random=0.5)
    assert (ended.status, ended.result) == (ExecutionStatus.SUCCEEDED, "4")


def test_a_result_that_is_longer_than_the_setting_allows_fails_without_a_retry():
    made = attempt()
    made.max_result_bytes = 3
    ended = conclude(made, Returned(1000), random=0.5)
    assert ended.status is ExecutionStatus.FAILED
    assert "4 bytes" in ended.error.message
    assert "3" in ended.error.message


def test_a_result_of_the_wrong_type_fails_without_a_retry():
    ended = conclude(attempt(), Returned("four"), random=0.5)
    assert ended.status is ExecutionStatus.FAILED
    assert ended.error.type == "ResultNotStorable"
    assert "the work ran, its result could not be stored" in ended.error.message


def test_a_raised_error_is_retried_after_the_policys_pause():
    policy = RetryPolicy(base_s=8, jitter="full")
    ended = conclude(attempt(policy=policy), Raised(ValueError("no")), random=0.25)
    assert (ended.status, ended.delay_s) == (ExecutionStatus.RETRYING, 2.0)
    assert (ended.error.type, ended.error.message) == ("ValueError", "no")


def test_the_last_attempt_that_raises_fails():
    ended = conclude(attempt(attempts_used=3), Raised(ValueError("no")), random=0.5)
    assert ended.status is ExecutionStatus.FAILED


def test_an_error_the_policy_gives_up_on_fails_at_once():
    policy = RetryPolicy(give_up_on=(KeyError,))
    ended = conclude(attempt(policy=policy), Raised(KeyError("gone")), random=0.5)
    assert ended.status is ExecutionStatus.FAILED


def test_a_returned_failure_is_retried_and_a_final_one_is_not():
    retried = conclude(attempt(), Returned(TaskResult.failure("busy")), random=0.5)
    final = conclude(attempt(), Returned(TaskResult.failure("broken", retry=False)), random=0.5)
    assert retried.status is ExecutionStatus.RETRYING
    assert final.status is ExecutionStatus.FAILED
    assert final.error.message == "broken"


def test_a_task_that_asks_to_run_again_is_rescheduled_and_does_not_count():
    again = TaskResult.retry(after_s=30, reason="rate limited")
    ended = conclude(attempt(attempts_used=3), Returned(again), random=0.5)
    assert (ended.status, ended.counted) == (ExecutionStatus.SCHEDULED, False)
    assert (ended.delay_s, ended.reason) == (30.0, "rate limited")


@pytest.mark.parametrize("error", [asyncio.CancelledError(), AttemptCancelled("bye"), OSError()])
def test_a_cancelled_attempt_that_raises_anything_is_cancelled(error):
    ended = conclude(attempt(interrupt=Interrupt.CANCEL), Raised(error), random=0.5)
    assert ended.status is ExecutionStatus.CANCELLED


def test_a_cancelled_attempt_that_returns_all_the_same_succeeds():
    ended = conclude(attempt(interrupt=Interrupt.CANCEL), Returned(2), random=0.5)
    assert ended.status is ExecutionStatus.SUCCEEDED


def test_a_timeout_is_an_attempt_that_counts_and_is_retried():
    ended = conclude(attempt(interrupt=Interrupt.TIMEOUT), Raised(TaskTimeout()), random=0.5)
    assert (ended.status, ended.counted) == (ExecutionStatus.RETRYING, True)
    assert ended.outcome is AttemptOutcome.TIMED_OUT
    assert "timeout_s=300" in ended.error.message


def test_a_drained_attempt_is_handed_back_and_does_not_count():
    drained = attempt(interrupt=Interrupt.DRAIN, attempts_used=3)
    ended = conclude(drained, Raised(asyncio.CancelledError()), random=0.5)
    assert (ended.status, ended.counted) == (ExecutionStatus.QUEUED, False)


def test_an_attempt_of_a_lost_worker_says_nothing():
    lost = attempt(interrupt=Interrupt.LOST)
    assert conclude(lost, Raised(asyncio.CancelledError()), random=0.5) is None


def test_a_bad_request_under_the_same_schema_fails_with_its_field_errors():
    spec = spec_of_function(double, {})
    claimed = attempt(fingerprint=spec.fingerprint).claimed
    details = [{"loc": ["n"], "msg": "not an int", "type": "int_type"}]
    ended = refuse_request(claimed, spec, InvalidRequest("bad", details))
    assert ended.status is ExecutionStatus.FAILED
    assert ended.error.details == tuple(details)


def test_a_bad_request_under_another_schema_waits_for_another_worker():
    spec = spec_of_function(double, {})
    claimed = attempt(fingerprint="0123456789abcdef").claimed
    ended = refuse_request(claimed, spec, InvalidRequest("bad"))
    assert (ended.status, ended.counted) == (ExecutionStatus.SCHEDULED, False)
    assert (ended.delay_s, ended.reason) == (1.0, "other_schema")


@pytest.mark.parametrize(("uncounted", "delay_s"), [(0, 1), (1, 2), (4, 16), (5, 30), (900, 30)])
def test_what_nobody_knows_waits_longer_each_time_up_to_half_a_minute(uncounted, delay_s):
    from dataclasses import replace

    claimed = replace(attempt().claimed, uncounted=uncounted)
    assert hand_back_for_later(claimed, "unknown_task").delay_s == delay_s


def test_a_stand_alone_task_is_still_the_function():
    assert task(double)(Size(n=3)) == 6
