"""What a task returns, and what a worker makes of it."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any, assert_never

import pytest

from butler.errors import InvalidOption
from butler.results import Again, Failure, Outcome, Success, TaskResult, outcome_of


def settled(outcome: Outcome) -> str:
    match outcome:
        case Success(value):
            return f"succeeded with {value}"
        case Failure(message, retry):
            return f"failed: {message}, retry={retry}"
        case Again(after_s, reason):
            return f"again after {after_s}: {reason}"
        case _:
            assert_never(outcome)


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (None, "succeeded with None"),
        (5, "succeeded with 5"),
        (TaskResult.success(), "succeeded with None"),
        (TaskResult.success({"a": 1}), "succeeded with {'a': 1}"),
        (TaskResult.failure("no"), "failed: no, retry=True"),
        (TaskResult.failure("no", retry=False), "failed: no, retry=False"),
        (TaskResult.retry(after_s=5), "again after 5.0: None"),
        (
            TaskResult.retry(after_s=timedelta(minutes=1), reason="not ready"),
            "again after 60.0: not ready",
        ),
        (ValueError("returned, not raised"), "succeeded with returned, not raised"),
    ],
)
def test_a_worker_can_match_on_what_was_returned(returned: Any, expected: str) -> None:
    assert settled(outcome_of(returned)) == expected


def test_returning_data_and_returning_success_with_it_are_the_same() -> None:
    data = {"a": 1}
    assert outcome_of(data) == outcome_of(TaskResult.success(data)) == Success(data)


def test_a_result_is_a_frozen_value() -> None:
    result = TaskResult.failure("no")
    assert result == TaskResult.failure("no", retry=True)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.outcome = Success(1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TaskResult.retry(after_s=-1), "after_s must be >= 0, got -1"),
        (
            lambda: TaskResult.retry(after_s="1"),
            "after_s must be seconds (int or float) or a timedelta, got '1' (str)",
        ),
        (lambda: TaskResult.retry(after_s=1, reason=2), "reason must be a str, got 2 (int)"),
        (
            lambda: TaskResult.failure(ValueError("x")),
            "message must be a str, got ValueError('x') (ValueError)",
        ),
        (lambda: TaskResult.failure("x", retry=3), "retry must be True or False, got 3"),
    ],
)
def test_a_result_that_says_nothing_clear_is_refused(make: Any, message: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        make()
    assert str(caught.value) == message


def test_calling_the_class_itself_names_the_three_ways_to_make_one() -> None:
    with pytest.raises(InvalidOption, match=r"\.success\(data\), \.failure\(message\) or \.retry"):
        TaskResult({"a": 1})
