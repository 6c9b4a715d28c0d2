"""A window is covered by the spans it is read from: nothing twice, nothing left out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from butler.errors import InvalidOption
from butler.monitoring.windows import Window
from butler.storage.stats import STATISTICS_KEPT, Step

NOW = datetime(2026, 3, 10, 14, 37, 20, tzinfo=UTC)


def at(day, hour=0, minute=0):
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


def spans(since, until=None):
    return [
        (span.step.value, span.since, span.until) for span in Window(since, until, now=NOW).spans()
    ]


def test_the_last_minutes_are_minutes_and_what_is_still_open_the_rest_of_today():
    assert spans(timedelta(minutes=50)) == [
        ("minute", at(10, 13, 47), at(10, 14)),
        ("hour", at(10, 14), at(11)),
        ("day", at(11), at(12)),
    ]


def test_a_closed_window_goes_up_to_days_and_down_again():
    assert spans(at(7, 22, 58), at(10, 2, 3)) == [
        ("minute", at(7, 22, 58), at(7, 23)),
        ("hour", at(7, 23), at(8)),
        ("day", at(8), at(10)),
        ("hour", at(10), at(10, 2)),
        ("minute", at(10, 2), at(10, 2, 3)),
    ]


def test_a_window_within_an_hour_is_minutes():
    assert spans(at(10, 9, 5), at(10, 9, 20)) == [("minute", at(10, 9, 5), at(10, 9, 20))]


@pytest.mark.parametrize("minutes", [1, 22, 23, 38, 59, 61, 600, 1_440, 3_000, 20_000])
@pytest.mark.parametrize("length", [1, 30, 61, 1_441, 10_000, None])
def test_spans_follow_each_other_in_whole_steps(minutes, length):
    since = NOW - timedelta(minutes=minutes)
    until = None if length is None else since + timedelta(minutes=length)
    window = Window(since, until, now=NOW)
    found = window.spans()
    assert found[0].since == window.since
    assert all(one.until == next_.since for one, next_ in pairwise(found))
    assert all(span.step.begin(span.since) == span.since < span.until for span in found)
    assert all(span.step.begin(span.until) == span.until for span in found)
    if window.open:
        assert found[-1].until > NOW
    else:
        assert found[-1].until == window.until


def test_nothing_is_older_than_statistics_are_kept():
    window = Window(timedelta(days=4_000), None, now=NOW)
    assert window.since == Step.MINUTE.begin(NOW - STATISTICS_KEPT)


def test_other_zones_are_the_same_instants():
    zone = timezone_of(2)
    assert Window(at(10, 9).astimezone(zone), None, now=NOW).since == at(10, 9)


def timezone_of(hours):
    from datetime import timezone

    return timezone(timedelta(hours=hours))


@pytest.mark.parametrize(
    ("since", "until", "said"),
    [
        (at(10, 9), at(10, 9), "since must be before until"),
        (at(11), None, "since must be before until"),
        (datetime(2026, 3, 1), None, "since must carry a time zone"),  # noqa: DTZ001 - refused
        (timedelta(0), None, "since must be > 0"),
        (at(9), "now", "until must be a datetime"),
    ],
)
def test_a_window_that_is_none_is_refused(since, until, said):
    with pytest.raises(InvalidOption, match=said):
        Window(since, until, now=NOW)


def test_a_series_has_a_bounded_number_of_points():
    window = Window(timedelta(days=5), None, now=NOW)
    with pytest.raises(InvalidOption, match="a series has at most 2000 points"):
        window.steps(Step.MINUTE)
    assert len(window.steps(Step.HOUR)) == 121
    assert window.steps(Step.DAY) == [at(day) for day in range(5, 11)]
