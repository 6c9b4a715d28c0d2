"""Every ``*_s`` option takes float seconds or a timedelta."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest

from butler.durations import LONGEST_S, seconds
from butler.errors import InvalidOption


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (0, 0.0),
        (1.5, 1.5),
        (3, 3.0),
        (timedelta(minutes=1, milliseconds=500), 60.5),
        (LONGEST_S, LONGEST_S),
    ],
)
def test_seconds_and_timedeltas_come_back_as_float_seconds(given: Any, expected: float) -> None:
    value = seconds("timeout_s", given)
    assert (value, type(value)) == (expected, float)


@pytest.mark.parametrize(
    ("given", "bounds", "message"),
    [
        (-1, {}, "timeout_s must be >= 0, got -1"),
        (-1, {"exclusive": True}, "timeout_s must be > 0, got -1"),
        (0, {"exclusive": True}, "timeout_s must be > 0, got 0"),
        (0.5, {"minimum": 1}, "timeout_s must be >= 1, got 0.5"),
        (timedelta(seconds=-1), {}, "timeout_s must be >= 0, got -1 day, 23:59:59"),
        (11, {"maximum": 10}, "timeout_s must be <= 10, got 11"),
        (LONGEST_S + 1, {}, "timeout_s must be <= 3155760000, got 3155760001.0"),
        (timedelta.max, {}, "timeout_s must be <= 3155760000, got 999999999 days, 23:59:59.999999"),
        (float("nan"), {}, "timeout_s must be a finite number of seconds, got nan"),
        (float("inf"), {}, "timeout_s must be a finite number of seconds, got inf"),
        (
            True,
            {},
            "timeout_s must be seconds (int or float) or a timedelta, got True (bool)",
        ),
        ("5", {}, "timeout_s must be seconds (int or float) or a timedelta, got '5' (str)"),
        (None, {}, "timeout_s must be seconds (int or float) or a timedelta, got None (NoneType)"),
    ],
)
def test_what_is_no_duration_in_range_is_refused_with_what_was_expected_and_what_came(
    given: Any, bounds: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidOption) as caught:
        seconds("timeout_s", given, **bounds)
    assert str(caught.value) == message


def test_the_type_of_what_came_is_named() -> None:
    with pytest.raises(InvalidOption, match=r"\(Fraction\)$"):
        seconds("delay_s", Fraction(1, 2))  # type: ignore[arg-type]


@pytest.mark.parametrize("huge", [10**400, 10**5000, "x" * 10_000], ids=["float", "repr", "str"])
def test_a_huge_value_gets_a_short_message(huge: Any) -> None:
    with pytest.raises(InvalidOption) as caught:
        seconds("delay_s", huge)
    assert len(str(caught.value)) < 250
