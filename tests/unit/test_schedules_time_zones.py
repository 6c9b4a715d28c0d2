"""Cron in time zones: the wanted table, a slow reference model, and every change of every zone."""

# ruff: noqa: DTZ001 - wall times are naive
from __future__ import annotations

import zoneinfo
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from butler.errors import InvalidSchedule
from butler.schedules import Cron
from butler.schedules.cron_expression import CronFields, parse_cron
from butler.schedules.cron_walk import matches

FIRST = datetime(2000, 1, 1, tzinfo=UTC)
LAST = datetime(2041, 1, 1, tzinfo=UTC)
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)

# In some zones two changes are 27 days apart (Ramadan), in none less than four.
STEP = timedelta(days=4)

Change = tuple[datetime, timedelta, timedelta]  # the instant, the offset before and after


def test_the_wanted_table_of_next_fires():
    wanted = """
    30 2 * * *   | America/New_York    | 2026-03-07 12:00 | 2026-03-08 07:00, 2026-03-09 06:30
    30 1 * * *   | America/New_York    | 2026-10-31 12:00 | 2026-11-01 05:30, 2026-11-02 06:30
    0 * * * *    | America/New_York    | 2026-11-01 00:30 | 2026-11-01 05:00, 2026-11-01 06:00, 2026-11-01 07:00
    */15 2 * * * | Europe/Berlin       | 2026-03-28 12:00 | 2026-03-29 01:00, 2026-03-30 00:00
    */30 2 * * * | Europe/Berlin       | 2026-10-25 01:00 | 2026-10-25 00:00, 2026-10-25 00:30, 2026-10-25 01:00, 2026-10-25 01:30
    0 */2 * * *  | Europe/Berlin       | 2026-03-29 00:30 | 2026-03-29 01:00, 2026-03-29 02:00, 2026-03-29 04:00
    0 0 * * *    | America/Santiago    | 2026-09-05 12:00 | 2026-09-06 04:00, 2026-09-07 03:00
    30 23 * * *  | America/Santiago    | 2026-04-04 12:00 | 2026-04-05 02:30, 2026-04-06 03:30
    15 2 * * *   | Australia/Lord_Howe | 2026-10-03 12:00 | 2026-10-03 15:30, 2026-10-04 15:15
    0 12 * * *   | Pacific/Apia        | 2011-12-29 13:00 | 2011-12-30 22:00
    0 0 29 2 *   | UTC                 | 2096-03-01 00:00 | 2104-02-29 00:00
    """  # noqa: E501
    rows = [[cell.strip() for cell in line.split("|")] for line in wanted.strip().splitlines()]
    assert len(rows) == 11
    for expression, zone, start, fires in rows:
        moment = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone))
        found = Cron(expression, timezone=zone).upcoming(moment, fires.count(",") + 1)
        assert ", ".join(f"{fire:%Y-%m-%d %H:%M}" for fire in found) == fires, expression


def berlin(expression: str, start: str, count: int) -> list[str]:
    moment = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo("Europe/Berlin"))
    found = Cron(expression, timezone="Europe/Berlin").upcoming(moment, count)
    return [f"{fire:%d %H:%M}" for fire in found]


def test_an_hourly_fire_past_the_hour_keeps_its_rhythm_through_a_gap():
    assert berlin("20 * * * *", "2026-03-29 00:30", 3) == ["29 00:20", "29 01:20", "29 02:20"]


def test_an_hourly_fire_past_the_hour_keeps_its_rhythm_through_a_repeated_hour():
    assert berlin("20 * * * *", "2026-10-25 01:30", 3) == ["25 00:20", "25 01:20", "25 02:20"]


def test_a_half_hour_gap_does_not_make_an_hourly_fire_wait_longer_than_an_hour():
    cron = Cron("15 * * * *", timezone="Australia/Lord_Howe")
    fires = cron.upcoming(datetime(2026, 10, 3, 14, 0, tzinfo=UTC), 4)
    assert [f"{fire:%H:%M}" for fire in fires] == ["14:45", "15:30", "16:15", "17:15"]


def test_several_missing_fixed_times_make_one_fire():
    assert berlin("0,20,40 2 * * *", "2026-03-28 12:00", 2) == ["29 01:00", "30 00:00"]


def test_a_fire_moved_to_the_end_of_the_gap_joins_one_that_is_there_anyway():
    assert berlin("0 2,3 * * *", "2026-03-28 12:00", 2) == ["29 01:00", "30 00:00"]
    assert berlin("30 2,3 * * *", "2026-03-28 12:00", 2) == ["29 01:00", "29 01:30"]


def test_a_moved_fire_is_found_from_the_last_microsecond_before_the_gap():
    end_of_gap = datetime(2026, 3, 29, 1, tzinfo=UTC)
    cron = Cron("30 2 * * *", timezone="Europe/Berlin")
    assert cron.next_after(end_of_gap - timedelta(microseconds=1)) == end_of_gap
    assert cron.next_after(end_of_gap) == datetime(2026, 3, 30, 0, 30, tzinfo=UTC)


def test_a_fixed_time_in_a_repeated_hour_is_not_fired_again_from_inside_its_second_run():
    cron = Cron("30 2 * * *", timezone="Europe/Berlin")
    second_run = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)
    assert cron.next_after(second_run) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_seconds_follow_real_time_through_a_repeated_hour():
    cron = Cron("* * * * * *", timezone="Europe/Berlin")
    fires = cron.upcoming(datetime(2026, 10, 24, 23, 59, 58, tzinfo=UTC), 7300)
    assert fires[-1] - fires[0] == timedelta(seconds=7299)


def test_a_gap_over_midnight_moves_the_fire_to_the_next_day_and_skips_none():
    cron = Cron("30 23 * * *", timezone="America/Nuuk")
    fires = cron.upcoming(datetime(2024, 3, 30, 12, tzinfo=UTC), 2)
    assert [f"{fire.astimezone(ZoneInfo('America/Nuuk')):%d %H:%M}" for fire in fires] == [
        "31 00:00",
        "31 23:30",
    ]


@pytest.mark.parametrize(
    ("zone", "meant"),
    [
        ("Europe/Berlni", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("America/NewYork", "America/New_York"),
    ],
)
def test_an_unknown_zone_is_refused_with_the_one_that_was_meant(zone: str, meant: str):
    with pytest.raises(InvalidSchedule) as caught:
        Cron("* * * * *", timezone=zone)
    assert str(caught.value) == f'unknown timezone "{zone}"; did you mean "{meant}"?'


@pytest.mark.parametrize(
    "zone",
    ["", "../etc/passwd", "/etc/passwd", "Europe", "localtime", "right/UTC", "a\0b", "+02:00"],
)
def test_what_is_no_zone_is_refused(zone: str):
    with pytest.raises(InvalidSchedule, match="unknown timezone"):
        Cron("* * * * *", timezone=zone)


def test_a_zone_that_is_no_text_is_refused():
    with pytest.raises(InvalidSchedule, match="must be an IANA name"):
        Cron("* * * * *", timezone=UTC)  # type: ignore[arg-type]


@lru_cache(maxsize=1)
def zones_and_changes() -> dict[str, tuple[Change, ...]]:
    # Some distributions list their placeholder, which is no zone.
    names = zoneinfo.available_timezones() - {"Factory", "localtime"}
    return {name: tuple(_changes(ZoneInfo(name))) for name in names}


def _changes(zone: ZoneInfo):
    low, old = FIRST, FIRST.astimezone(zone).utcoffset()
    while low < LAST:
        high = low + STEP
        new = high.astimezone(zone).utcoffset()
        if new != old:
            left, right = 0, int(STEP.total_seconds())
            while right - left > 1:
                middle = (left + right) // 2
                same = (low + middle * SECOND).astimezone(zone).utcoffset() == old
                left, right = (middle, right) if same else (left, middle)
            yield low + right * SECOND, old, new
        low, old = high, new


def changes_once() -> list[tuple[str, Change]]:
    """Every change of every zone, those of zones that are links to another one left out."""
    seen: dict[tuple[Change, ...], str] = {}
    for name, changes in sorted(zones_and_changes().items()):
        seen.setdefault(changes, name)
    return [(name, change) for changes, name in seen.items() for change in changes]


def test_every_zone_and_every_change_from_2000_to_2040_is_in_the_sweep():
    found = zones_and_changes()
    assert len(found) > 500
    assert sum(map(len, found.values())) > 18_000
    assert len(found["Europe/Berlin"]) == 82
    assert (datetime(2011, 12, 30, 10, tzinfo=UTC), -10 * 60 * MINUTE, 14 * 60 * MINUTE) in found[
        "Pacific/Apia"
    ]


def _wall(zone: ZoneInfo, instant: datetime) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None)


def test_at_every_change_a_fixed_time_fires_once_on_each_day_that_exists():
    for name, (at, old, new) in changes_once():
        zone = ZoneInfo(name)
        middle = ((at + old + (new - old) / 2).replace(tzinfo=None)).replace(second=0)
        cron = Cron(f"{middle.minute} {middle.hour} * * *", timezone=name)
        days = [middle.date() + n * DAY for n in range(-2, 3)]
        expected = [
            _wanted(zone, datetime.combine(day, middle.time()), at)
            for day in days
            if _exists(zone, day)
        ]
        assert len(expected) >= 4, (name, at)
        assert cron.upcoming(expected[0] - SECOND, len(expected)) == expected, (name, at)


def _exists(zone: ZoneInfo, day: date) -> bool:
    """A day exists when some hour of it does: going to UTC and back gives the same wall time."""
    hours = (datetime(day.year, day.month, day.day, hour, 30) for hour in range(24))
    return any(_wall(zone, h.replace(tzinfo=zone).astimezone(UTC)) == h for h in hours)


def _wanted(zone: ZoneInfo, wall: datetime, change: datetime) -> datetime:
    """The first instant with this wall time, or the end of the gap."""
    instant = wall.replace(tzinfo=zone).astimezone(UTC)
    return instant if _wall(zone, instant).replace(fold=0) == wall else change


def test_at_every_change_every_minute_is_sixty_seconds_of_real_time():
    for name, (at, _, _) in changes_once():
        cron = Cron("* * * * *", timezone=name)
        fires = cron.upcoming(at - 61 * SECOND, 3)
        assert fires[-1] - fires[0] == 2 * MINUTE, (name, at)


def reference(fields: CronFields, zone: ZoneInfo, low: datetime, high: datetime) -> list[datetime]:
    """The rules of the design, applied to one minute after the other of ``(low, high]``."""
    fires = []
    wall = _wall(zone, low)
    instant = low
    while instant < high:
        before, instant = wall, instant + MINUTE
        wall = _wall(zone, instant)
        lost = _lost_minutes(before.replace(fold=0) + MINUTE, wall.replace(fold=0))
        length = len(lost) * MINUTE
        missed = any(
            matches(fields, minute)
            and (not fields.every or not matches(fields, minute + length))
            and not _whole_day_lost(minute, lost)
            for minute in lost
        )
        if missed or (matches(fields, wall) and (fields.every or wall.fold == 0)):
            fires.append(instant)
    return fires


def _lost_minutes(start: datetime, end: datetime) -> list[datetime]:
    return [start + n * MINUTE for n in range(max(0, int((end - start) / MINUTE)))]


def _whole_day_lost(minute: datetime, lost: list[datetime]) -> bool:
    midnight = minute.replace(hour=0, minute=0)
    return lost[0] <= midnight and midnight + DAY - MINUTE <= lost[-1]


EXPRESSIONS = (
    *("*/15 * * * *", "20 * * * *", "0 */2 * * *", "*/20 0-3 * * *", "30 0,1,2,23 * * *"),
    *("0 0 * * *", "10,50 2,3 * * SUN", "*/7 2 * * *", "0 23-1 * * *", "5 */3 1-7 * SUN"),
    *("59 1 * * *", "0 0 L * *", "45 22,23,0 * * *"),
)


def test_around_a_change_of_every_zone_the_fires_are_those_of_the_slow_reference():
    checked = 0
    for number, (name, change) in enumerate(_one_gap_and_one_repetition_of_each_zone()):
        zone = ZoneInfo(name)
        low = (change[0] - timedelta(hours=5)).replace(second=0)
        expression = EXPRESSIONS[number % len(EXPRESSIONS)]
        high = low + timedelta(hours=30 if abs(change[2] - change[1]) >= DAY else 9)
        expected = reference(parse_cron(expression), zone, low, high)
        cron = Cron(expression, timezone=name)
        found = cron.upcoming(low, len(expected) + 1)
        assert [fire for fire in found if fire <= high] == expected, (expression, name, change)
        checked += 1
    assert checked > 300


def _one_gap_and_one_repetition_of_each_zone():
    chosen: dict[tuple[str, bool], list[Change]] = {}
    for name, change in changes_once():
        chosen.setdefault((name, change[2] > change[1]), []).append(change)
    for number, ((name, _), changes) in enumerate(sorted(chosen.items())):
        yield name, changes[number % len(changes)]


@settings(max_examples=60, deadline=None)
@given(
    choice=st.integers(0, 10**6),
    minute=st.sampled_from(["0", "*/20", "15,45", "*", "50-10/5"]),
    hour=st.sampled_from(["*", "*/2", "2", "1,2", "23-3", "0", "*/5"]),
    day=st.sampled_from(["* * *", "* * SUN", "L * *", "1-15 * *"]),
)
def test_around_any_change_any_expression_fires_as_the_slow_reference(
    choice: int, minute: str, hour: str, day: str
):
    everything = changes_once()
    name, change = everything[choice % len(everything)]
    expression = f"{minute} {hour} {day}"
    low = (change[0] - timedelta(hours=4)).replace(second=0)
    high = low + timedelta(hours=8)
    expected = reference(parse_cron(expression), ZoneInfo(name), low, high)
    found = Cron(expression, timezone=name).upcoming(low, len(expected) + 1)
    assert [fire for fire in found if fire <= high] == expected


@settings(max_examples=100, deadline=None)
@given(
    choice=st.integers(0, 10**6),
    second=st.sampled_from(["0", "*/7", "30"]),
    minute=st.sampled_from(["0", "*/20", "15,45", "*"]),
    hour=st.sampled_from(["*", "*/2", "2", "1-3", "0"]),
    start=st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)),
)
def test_fires_strictly_increase_and_their_fields_match_unless_they_were_moved(
    choice: int, second: str, minute: str, hour: str, start: datetime
):
    names = sorted(zones_and_changes())
    cron = Cron(f"{second} {minute} {hour} * * *", timezone=names[choice % len(names)])
    moment = start.replace(tzinfo=UTC)
    fires = cron.preview(moment, 30)
    instants = [moment, *(fire.at for fire in fires)]
    assert all(earlier < later for earlier, later in pairwise(instants))
    fields = parse_cron(cron.expression)
    for fire in fires:
        assert fire.moved != matches(fields, fire.local.replace(tzinfo=None))
