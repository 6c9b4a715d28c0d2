"""When a failed attempt is tried again."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from butler.errors import DefinitionError
from butler.retries import MAX_DELAY_S, RetryPolicy

fractions = st.floats(min_value=0, max_value=1)
delays = st.floats(min_value=0, max_value=MAX_DELAY_S)


def test_durations_are_taken_as_seconds_or_timedeltas_and_kept_as_float() -> None:
    policy = RetryPolicy(5, base_s=timedelta(seconds=2), cap_s=60)
    assert (policy.base_s, policy.cap_s) == (2.0, 60.0)
    assert {type(policy.base_s), type(policy.cap_s)} == {float}


def test_the_defaults_are_those_of_the_documentation() -> None:
    policy = RetryPolicy()
    assert (policy.max_attempts, policy.base_s, policy.cap_s, policy.jitter) == (
        3,
        1.0,
        3600.0,
        "full",
    )


def test_a_policy_is_a_value() -> None:
    policy = RetryPolicy(2, base_s=1, retry_on=ValueError)
    assert policy == RetryPolicy(2, base_s=timedelta(seconds=1), retry_on=(ValueError,))
    assert hash(policy) == hash(copy.copy(policy))
    assert pickle.loads(pickle.dumps(policy)) == policy
    assert dataclasses.replace(policy, max_attempts=9).max_attempts == 9
    with pytest.raises(dataclasses.FrozenInstanceError):
        policy.max_attempts = 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_attempts": 0}, "max_attempts must be an int >= 1, got 0"),
        ({"max_attempts": True}, "max_attempts must be an int >= 1, got True"),
        ({"max_attempts": 2.0}, "max_attempts must be an int >= 1, got 2.0"),
        ({"base_s": -1}, "base_s must be >= 0, got -1"),
        ({"base_s": float("nan")}, "base_s must be a finite number of seconds, got nan"),
        ({"base_s": "1"}, "base_s must be seconds (int or float) or a timedelta, got '1' (str)"),
        ({"cap_s": MAX_DELAY_S + 1}, "cap_s must be <= 31536000, got 31536001.0"),
        ({"base_s": 10, "cap_s": 5}, "cap_s must be >= base_s (10), got 5"),
        ({"jitter": "some"}, "jitter must be 'full', 'equal' or 'none', got 'some'"),
        ({"retry_on": "ValueError"}, "retry_on must hold exception classes, got 'ValueError'"),
        ({"give_up_on": (int,)}, "give_up_on must hold exception classes, got <class 'int'>"),
    ],
)
def test_a_policy_that_cannot_work_is_refused_where_it_is_written(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DefinitionError) as caught:
        RetryPolicy(**options)
    assert str(caught.value) == message


def test_without_jitter_the_pause_doubles_up_to_the_cap() -> None:
    policy = RetryPolicy(base_s=1, cap_s=10, jitter="none")
    assert [policy.delay_s(used, random=0.3) for used in range(1, 7)] == [1, 2, 4, 8, 10, 10]


def test_full_jitter_draws_from_nothing_to_the_bound_and_equal_from_its_upper_half() -> None:
    full = RetryPolicy(base_s=8, jitter="full")
    equal = RetryPolicy(base_s=8, jitter="equal")
    assert [full.delay_s(1, random=r) for r in (0, 0.5, 1)] == [0, 4, 8]
    assert [equal.delay_s(1, random=r) for r in (0, 0.5, 1)] == [4, 6, 8]


@given(st.integers(min_value=0, max_value=10**9), fractions, delays, delays)
def test_no_pause_is_negative_or_over_the_cap(
    used: int, random: float, one: float, other: float
) -> None:
    base_s, cap_s = sorted([one, other])
    for jitter in ("full", "equal", "none"):
        policy = RetryPolicy(base_s=base_s, cap_s=cap_s, jitter=jitter)
        assert 0 <= policy.delay_s(used, random=random) <= cap_s


@given(st.integers(min_value=1, max_value=200), fractions)
def test_a_later_retry_never_waits_less_for_the_same_draw(used: int, random: float) -> None:
    policy = RetryPolicy(jitter="equal")
    assert policy.delay_s(used, random=random) <= policy.delay_s(used + 1, random=random)


def test_only_what_is_in_retry_on_and_not_in_give_up_on_is_retried() -> None:
    policy = RetryPolicy(retry_on=(OSError, KeyError), give_up_on=FileNotFoundError)
    assert policy.retries(ConnectionError())
    assert policy.retries(KeyError())
    assert not policy.retries(FileNotFoundError())
    assert not policy.retries(ValueError())


def test_everything_is_retried_by_default_also_what_is_no_exception() -> None:
    assert RetryPolicy().retries(SystemExit())
    assert not RetryPolicy(retry_on=()).retries(ValueError())
