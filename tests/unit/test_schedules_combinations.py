from __future__ import annotations

import copy
import dataclasses
import pickle
import time as clock
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from butler.errors import InvalidSchedule
from butler.schedules import (
    BUSINESS_DAYS,
    WEEKEND,
    AnyOf,
    Between,
    Cron,
    Except,
    Interval,
    Once,
    Schedule,
)

START = datetime(2026, 1, 15, 10, 7, 23, tzinfo=UTC)  # a Thursday
BERLIN = "Europe/Berlin"
NAIVE = datetime.fromisoformat("2026-01-15T10:00")


def fires(schedule: Schedule, count: int, start: datetime = START) -> list[str]:
    return [f"{fire:%m-%d %H:%M}" for fire in schedule.upcoming(start, count)]


def test_an_interval_counts_real_time_from_1970():
    assert fires(Interval(3600), 3) == ["01-15 11:00", "01-15 12:00", "01-15 13:00"]


def test_an_interval_keeps_step_with_its_anchor_before_and_after_it():
    anchor = datetime(2026, 1, 15, 12, 10, tzinfo=UTC)
    found = fires(Interval(timedelta(hours=1), anchor=anchor), 3)
    assert found == ["01-15 10:10", "01-15 11:10", "01-15 12:10"]


def test_an_interval_fires_strictly_after():
    on_time = datetime(2026, 1, 15, 11, tzinfo=UTC)
    assert Interval(3600).next_after(on_time) == on_time + timedelta(hours=1)
    assert Interval(3600).next_after(on_time - timedelta(microseconds=1)) == on_time


@settings(deadline=None)
@given(
    every_s=st.floats(1, 10**6),
    after=st.datetimes(NAIVE.replace(year=1800), NAIVE.replace(year=2200)),
    anchor=st.datetimes(NAIVE.replace(year=1800), NAIVE.replace(year=2200)),
)
def test_an_interval_never_drifts(every_s: float, after: datetime, anchor: datetime):
    moment, anchor = after.replace(tzinfo=UTC), anchor.replace(tzinfo=UTC)
    schedule, every = Interval(every_s, anchor=anchor), timedelta(seconds=every_s)
    fire = schedule.next_after(moment)
    assert moment < fire <= moment + every
    assert (fire - anchor) % every == timedelta(0)


@pytest.mark.parametrize(
    "every_s", [0, -1, 0.99, float("nan"), float("inf"), 1e12, timedelta(0), True, "60", None]
)
def test_an_interval_out_of_range_is_refused(every_s: object):
    with pytest.raises(InvalidSchedule, match="every_s must be"):
        Interval(every_s)  # type: ignore[arg-type]


def test_an_interval_ends_with_the_calendar():
    assert Interval(3600).next_after(datetime(9999, 12, 31, 23, 30, tzinfo=UTC)) is None


def test_once_fires_once():
    schedule = Once(datetime(2026, 1, 16, 9, tzinfo=ZoneInfo(BERLIN)))
    assert fires(schedule, 5) == ["01-16 08:00"]
    assert schedule.next_after(schedule.at) is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: Once(NAIVE),
        lambda: Interval(60, anchor=NAIVE),
        lambda: Interval(60).next_after(NAIVE),
        lambda: Once(START).next_after(NAIVE),
        lambda: AnyOf(Interval(60)).upcoming(NAIVE, 1),
        lambda: Between(Interval(60), start=NAIVE),
        lambda: Except(Interval(60), weekdays=["sat"]).next_after(NAIVE),
        lambda: Once(date(2026, 1, 1)),
    ],
)
def test_naive_datetimes_are_refused_everywhere(make):
    with pytest.raises(InvalidSchedule, match="must be an aware datetime"):
        make()


def test_any_of_fires_once_when_two_parts_fire_together():
    either = AnyOf(Cron("0 12 * * *"), Cron("0 */6 * * *"), Once(START + timedelta(minutes=1)))
    assert fires(either, 4) == ["01-15 10:08", "01-15 12:00", "01-15 18:00", "01-16 00:00"]


def test_any_of_ends_when_all_parts_have():
    assert AnyOf(Once(START), Once(START - timedelta(days=1))).next_after(START) is None


def test_except_leaves_out_dates_yearly_days_and_weekdays_of_the_schedules_zone():
    daily = Cron("30 0 * * *", timezone=BERLIN)  # the day before, in UTC
    holidays = Except(daily, dates=[date(2026, 1, 16)], yearly=["01-20"], weekdays=["Sun", "sat"])
    assert fires(holidays, 4) == ["01-18 23:30", "01-20 23:30", "01-21 23:30", "01-22 23:30"]


def test_except_can_judge_days_in_another_zone():
    evening = Cron("0 20 * * *", timezone="America/New_York")
    assert fires(Except(evening, weekdays=["fri"], timezone="UTC"), 2, START) == [
        "01-17 01:00",
        "01-18 01:00",
    ]


def test_between_keeps_to_a_window_of_the_local_day():
    office = Between(Cron("0 * * * *", timezone=BERLIN), opens=time(11), closes=time(13))
    assert fires(office, 4) == ["01-15 11:00", "01-16 10:00", "01-16 11:00", "01-17 10:00"]


def test_between_has_windows_that_wrap_over_midnight():
    night = Between(Interval(2 * 3600), opens=time(22), closes=time(3))
    assert fires(night, 4) == ["01-15 22:00", "01-16 00:00", "01-16 02:00", "01-16 22:00"]


def test_between_has_windows_with_one_end():
    assert fires(Between(Interval(4 * 3600), opens=time(18)), 2) == ["01-15 20:00", "01-16 20:00"]
    assert fires(Between(Interval(4 * 3600), closes=time(4, 1)), 2) == [
        "01-16 00:00",
        "01-16 04:00",
    ]


def test_between_knows_business_days():
    assert fires(Between(Cron("0 9 * * *"), weekdays=BUSINESS_DAYS), 3) == [
        "01-16 09:00",
        "01-19 09:00",
        "01-20 09:00",
    ]
    assert fires(Between(Cron("0 9 * * *"), weekdays=WEEKEND), 2) == ["01-17 09:00", "01-18 09:00"]


def test_between_includes_the_instants_of_start_and_end():
    start, end = datetime(2026, 1, 20, 1, tzinfo=UTC), datetime(2026, 1, 20, 3, tzinfo=UTC)
    limited = Between(Interval(3600), start=start, end=end)
    assert fires(limited, 9) == ["01-20 01:00", "01-20 02:00", "01-20 03:00"]
    assert limited.next_after(end) is None


def test_between_takes_dates_as_whole_local_days():
    day = date(2026, 1, 20)
    limited = Between(Cron("0 */8 * * *", timezone=BERLIN), start=day, end=day)
    assert fires(limited, 9) == ["01-19 23:00", "01-20 07:00", "01-20 15:00"]


def test_between_counts_its_fires_from_start_whenever_it_is_asked():
    three = Between(Cron("0 9 * * *"), start=START, weekdays=BUSINESS_DAYS, max_fires=3)
    assert fires(three, 9) == ["01-16 09:00", "01-19 09:00", "01-20 09:00"]
    assert fires(three, 9, START - timedelta(days=99)) == fires(three, 9)
    assert fires(three, 9, datetime(2026, 1, 19, 9, tzinfo=UTC)) == ["01-20 09:00"]
    assert three.next_after(datetime(2027, 1, 1, tzinfo=UTC)) is None


def test_between_may_end_before_max_fires_is_used_up():
    short = Between(Interval(3600), start=START, end=START + timedelta(hours=2), max_fires=50)
    assert len(fires(short, 99)) == 2


def test_combinations_nest():
    workdays = Between(
        Except(Cron("0 * * * *", timezone=BERLIN), yearly=["01-16"]),
        opens=time(9),
        closes=time(10),
        weekdays=BUSINESS_DAYS,
    )
    assert fires(AnyOf(workdays, Cron("0 0 LW * *")), 3, START) == [
        "01-19 08:00",
        "01-20 08:00",
        "01-21 08:00",
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (AnyOf, "at least one schedule"),
        (lambda: AnyOf("0 0 * * *"), "made of schedules"),
        (lambda: Except(Interval(60)), "needs dates=, yearly= or weekdays="),
        (lambda: Except(Interval(60), weekdays="sat"), "must be a list"),
        (lambda: Except(Interval(60), weekdays=["saturday"]), "got 'saturday'"),
        (lambda: Except(Interval(60), dates=[START]), "dates must be dates"),
        (lambda: Except(Interval(60), yearly=["25.12."]), "MM-DD"),
        (lambda: Except(Interval(60), yearly=["02-30"]), "MM-DD"),
        (
            lambda: Except(
                Interval(60), dates=[date(2000, 1, 1) + n * timedelta(1) for n in range(2001)]
            ),
            "at most 2000, got 2001",
        ),
        (lambda: Between(Interval(60)), "needs one of start, end"),
        (lambda: Between(Interval(60), opens=time(9), closes=time(9)), "must differ"),
        (lambda: Between(Interval(60), opens="09:00"), "opens must be a time of day"),
        (lambda: Between(Interval(60), closes=time(9, tzinfo=UTC)), "closes must be a time of day"),
        (lambda: Between(Interval(60), max_fires=3), "give start= too"),
        (lambda: Between(Interval(60), start=START, max_fires=0), "in 1..10000, got 0"),
        (lambda: Between(Interval(60), start=START, max_fires=True), "must be an int"),
        (
            lambda: Between(Interval(60), start=START, end=START - timedelta(1)),
            "start must not be after end",
        ),
        (lambda: Between(Interval(60), opens=time(9), timezone="Nowhere"), "unknown timezone"),
        (lambda: AnyOf(*[Interval(60)] * 16), "at most 16 parts"),
    ],
)
def test_a_combination_that_makes_no_sense_is_refused(make, message: str):
    with pytest.raises(InvalidSchedule, match=message.replace("(", r"\(")):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Between(Cron("0 12 * * *"), opens=time(9), closes=time(10)),
        lambda: Between(Cron("0 12 * * MON"), weekdays=["tue"]),
        lambda: Except(Cron("0 12 25 12 *"), yearly=["12-25"]),
        lambda: Except(Once(START), dates=[START.date()]),
        lambda: Except(Interval(60), weekdays=[*BUSINESS_DAYS, *WEEKEND]),
    ],
)
def test_a_filter_that_lets_nothing_through_is_refused(make):
    with pytest.raises(InvalidSchedule, match="never fires"):
        make()


def test_days_of_several_zones_need_to_be_told_in_which():
    two = AnyOf(Cron("0 9 * * *", timezone=BERLIN), Cron("0 9 * * *", timezone="Asia/Tokyo"))
    with pytest.raises(InvalidSchedule, match="several zones"):
        Except(two, weekdays=["sat"])
    assert Except(two, weekdays=["sat"], timezone="Asia/Tokyo").timezone == "Asia/Tokyo"
    assert Except(AnyOf(Interval(60), two.schedules[0]), weekdays=["sat"]).timezone == BERLIN


def test_a_rare_filter_over_a_schedule_of_every_second_is_quick():
    rare = Between(
        Cron("* * * * * *", timezone=BERLIN), opens=time(3), closes=time(3, 1), weekdays=["mon"]
    )
    started = clock.perf_counter()
    assert fires(rare, 1) == ["01-19 02:00"]
    assert clock.perf_counter() - started < 0.05


def test_leap_days_on_a_weekday_are_found_forty_years_ahead():
    monday = Between(Cron("0 0 29 2 *"), weekdays=["mon"])
    assert monday.next_after(datetime(2072, 3, 1, tzinfo=UTC)) == datetime(2112, 2, 29, tzinfo=UTC)


EACH = [
    Cron("30 2 * * *", timezone=BERLIN),
    Interval(90, anchor=START),
    Once(START),
    AnyOf(Cron("@daily"), Interval(3600)),
    Except(Cron("@daily"), dates=[date(2026, 12, 25)], yearly=["01-01"], weekdays=WEEKEND),
    Between(Interval(60), start=START, end=date(2027, 1, 1), opens=time(9), max_fires=7),
]


@pytest.mark.parametrize("schedule", EACH, ids=lambda schedule: type(schedule).__name__)
def test_schedules_are_values(schedule: Schedule):
    twin = copy.deepcopy(schedule)
    assert twin == schedule
    assert {schedule, twin} == {schedule}
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert not hasattr(schedule, "__dict__")
    field = dataclasses.fields(schedule)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(schedule, field, getattr(schedule, field))


@pytest.mark.parametrize("schedule", EACH, ids=lambda schedule: type(schedule).__name__)
def test_upcoming_is_next_after_repeated(schedule: Schedule):
    start = START - timedelta(days=1)
    expected, moment = [], schedule.next_after(start)
    while moment is not None and len(expected) < 4:
        expected.append(moment)
        moment = schedule.next_after(moment)
    assert schedule.upcoming(start, 4) == expected
    assert schedule.upcoming(start, 0) == []
    with pytest.raises(InvalidSchedule, match="count must be >= 0, got -1"):
        schedule.upcoming(start, -1)


def test_counting_fires_that_hardly_ever_come_is_bounded():
    every_day = (date(2000, 1, 1) + n * timedelta(days=1) for n in range(366))
    leap_days = Except(
        Cron("0 0 * * *"), yearly=[f"{day:%m-%d}" for day in every_day if day.day != 29]
    )
    counted = Between(
        Except(leap_days, yearly=[f"{month:02}-29" for month in (1, *range(3, 13))]),
        start=START,
        max_fires=10_000,
    )
    started = clock.perf_counter()
    assert counted.next_after(START) == datetime(2028, 2, 29, tzinfo=UTC)
    assert clock.perf_counter() - started < 5


def test_a_preview_is_in_the_zone_that_a_combination_gives_to_a_schedule_without_one():
    office = Between(Interval(3600), opens=time(9), closes=time(17), timezone="Europe/Berlin")
    [fire] = office.preview(datetime(2026, 7, 1, 3, tzinfo=UTC), 1)
    assert (fire.local.hour, fire.local.tzname()) == (9, "CEST")
    assert fire.at == datetime(2026, 7, 1, 7, tzinfo=UTC)
