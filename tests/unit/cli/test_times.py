"""Times and durations as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import pytest

from butler.cli.times import DURATION, FUTURE, PAST


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("1.5m", 90), ("2 h", 7200), ("3d", 259_200), ("1w", 604_800)],
)
def test_a_duration_has_a_unit_or_counts_seconds(text, seconds):
    assert DURATION.convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "-5", "5x", "h", "1h30m", "nan", "inf"])
def test_anything_else_is_refused_with_what_to_write(text):
    with pytest.raises(click.BadParameter, match="write 90s, 5m, 2h, 3d or 1w"):
        DURATION.convert(text, None, None)


def test_a_moment_counts_from_now_into_the_past_or_the_future():
    now = datetime.now(UTC)
    assert abs(PAST.convert("2h", None, None) - (now - timedelta(hours=2))) < timedelta(seconds=5)
    assert abs(FUTURE.convert("2h", None, None) - (now + timedelta(hours=2))) < timedelta(seconds=5)


def test_a_moment_may_be_iso_and_a_zone_is_respected():
    moment = datetime(2026, 11, 24, 7, tzinfo=UTC)
    assert PAST.convert("2026-11-24T08:00+01:00", None, None) == moment
    assert PAST.convert(moment, None, None) is moment
    assert PAST.convert("2026-11-24T08:00", None, None).utcoffset() == timedelta(0)


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "99999999w"])
def test_a_moment_that_is_none_is_refused_with_what_to_write(text):
    with pytest.raises(click.BadParameter, match="is no time: write 2h, 3d or 2026"):
        PAST.convert(text, None, None)
