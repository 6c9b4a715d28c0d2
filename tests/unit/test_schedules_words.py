from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest

from butler.schedules import BUSINESS_DAYS, AnyOf, Between, Cron, Except, Interval, Once

AT = datetime(2026, 3, 7, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("30 2 * * *", "at 02:30 every day"),
        ("0 9,17 * * *", "at 09:00 and 17:00 every day"),
        ("0 */6 * * *", "at 00:00, 06:00, 12:00 and 18:00 every day"),
        ("15 30 8 * * *", "at 08:30:15 every day"),
        ("* * * * *", "every minute"),
        ("* * * * * *", "every second"),
        ("*/10 * * * * *", "every 10 seconds"),
        ("*/15 * * * *", "every 15 minutes"),
        ("0 * * * *", "every hour"),
        ("20 * * * *", "at minute 20 of every hour"),
        ("5,10,40 * * * *", "at minutes 5, 10 and 40 of every hour"),
        ("*/7 * * * *", "at minutes 0, 7, 14 … 56 of every hour"),
        ("0-20 5 * * *", "at minutes 0 to 20 in the hour 5"),
        (
            "*/15 9-17 * * MON-FRI",
            "every 15 minutes in the hours 9 to 17 on Monday to Friday",
        ),
        ("5 4 * * sun", "at 04:05 on Sunday"),
        ("0 0 * * FRI-MON", "at 00:00 on Monday and Friday to Sunday"),
        ("0 0 1 * *", "at 00:00 on day 1 of the month"),
        ("0 0 1,15 * *", "at 00:00 on days 1 and 15 of the month"),
        ("0 0 1,15 * FRI", "at 00:00 on days 1 and 15 of the month or on Friday"),
        ("0 0 */2 * 1", "at 00:00 on days 1, 3, 5 … 31 of the month if it is Monday"),
        ("0 0 L * *", "at 00:00 on the last day of the month"),
        ("0 0 L-3 * *", "at 00:00 on the day 3 days before the last of the month"),
        ("0 0 LW * *", "at 00:00 on the last weekday of the month"),
        ("0 9 15W * *", "at 09:00 on the weekday nearest day 15 of the month"),
        ("0 0 * * 5L", "at 00:00 on the last Friday of the month"),
        ("0 0 * * 2#1", "at 00:00 on the first Tuesday of the month"),
        ("0 0 29 2 *", "at 00:00 on day 29 of the month in February"),
        ("0 0 * JAN,JUL *", "at 00:00 every day in January and July"),
    ],
)
def test_a_cron_expression_is_said_in_words(expression: str, words: str):
    assert Cron(expression, timezone="Asia/Tokyo").describe() == f"{words}, Asia/Tokyo time"


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (Interval(1), "every second"),
        (Interval(90), "every 90 seconds"),
        (Interval(1.5), "every 1.5 seconds"),
        (Interval(timedelta(hours=2)), "every 2 hours"),
        (Interval(86_400), "every day"),
        (Interval(60, anchor=AT), "every minute, in step with 2026-03-07T12:00:00Z"),
        (Once(AT), "once, at 2026-03-07T12:00:00Z"),
        (
            AnyOf(Interval(60), Cron("@daily")),
            "every minute or at 00:00 every day, UTC time",
        ),
        (
            Except(Cron("@daily"), dates=[date(2026, 4, 3)], yearly=["12-25"], weekdays=["sun"]),
            "at 00:00 every day, UTC time, except on sun, every 12-25 and 2026-04-03 (UTC)",
        ),
        (
            Except(Cron("@daily"), dates=[date(2026, 4, day) for day in range(1, 8)]),
            "at 00:00 every day, UTC time, except on 7 dates (UTC)",
        ),
        (
            Between(
                Interval(60),
                start=AT,
                end=date(2026, 12, 31),
                opens=time(9),
                weekdays=BUSINESS_DAYS,
                max_fires=10,
            ),
            "every minute, from 09:00:00 until 24:00:00, only on mon, tue, wed, thu and fri, "
            "not before 2026-03-07T12:00:00Z, not after 2026-12-31, at most 10 times (UTC)",
        ),
    ],
)
def test_the_other_schedules_are_said_in_words(schedule, words: str):
    assert schedule.describe() == words


def test_a_preview_marks_what_a_gap_moved():
    cron = Cron("30 2 * * *", timezone="Europe/Berlin")
    first, moved, last = cron.preview(datetime(2026, 3, 27, 12, tzinfo=UTC), 3)
    assert (first.moved, moved.moved, last.moved) == (False, True, False)
    assert moved.at == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert f"{moved.local:%d %H:%M %z}" == "29 03:00 +0200"
    assert moved.moved_from == datetime.fromisoformat("2026-03-29T02:30")
    assert moved.note == "2026-03-29 02:30:00 does not exist: moved to the end of the gap"
    assert (first.note, last.note) == ("", "")


def test_a_preview_marks_which_of_two_equal_wall_times_fires():
    start = datetime(2026, 10, 24, 12, tzinfo=UTC)
    once = Cron("30 2 * * *", timezone="Europe/Berlin").preview(start, 2)
    assert [fire.occurrence for fire in once] == [1, None]
    assert once[0].note == "02:30:00 happens twice: the first time"
    every = Cron("*/30 2 * * *", timezone="Europe/Berlin").preview(start, 5)
    assert [fire.occurrence for fire in every] == [1, 1, 2, 2, None]


def test_a_preview_of_a_combination_says_what_the_part_that_fires_says():
    cron = Cron("30 2 * * *", timezone="Europe/Berlin")
    both = Between(AnyOf(Interval(7 * 86_400), cron), start=date(2026, 3, 28))
    fires = both.preview(datetime(2026, 3, 28, 12, tzinfo=UTC), 1)
    assert [(fire.at, fire.moved) for fire in fires] == [
        (datetime(2026, 3, 29, 1, tzinfo=UTC), True)
    ]
    (fire,) = Except(Interval(3600), weekdays=["sat"]).preview(AT, 1)
    assert (fire.at, fire.local, fire.note) == (
        datetime(2026, 3, 8, 0, tzinfo=UTC),
        datetime(2026, 3, 8, 0, tzinfo=UTC),
        "",
    )
