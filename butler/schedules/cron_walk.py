"""The next fire of a cron expression in a time zone (pure).

What: ``next_fire`` maps wall-clock times of one zone to instants, through every change of the
zone's offset: daylight saving, a moved standard time, a day that was dropped from the calendar.

Guarantee, for each wall time the expression allows:

- it exists once: one fire, there;
- it exists twice (clocks go back): an "every n" expression fires both times, a fixed time only
  the first time;
- it does not exist (clocks go forward): a fixed time fires at the end of the gap; of an "every n"
  expression only what real time would miss does: ``20 * * * *`` loses nothing, because the
  instant that 02:20 would have been is 03:20, which fires anyway, while ``*/15 2 * * *`` would
  lose its day. Several missing times make one fire;
- its whole day does not exist (Samoa, 2011-12-30): none.

Fires strictly increase. A step looks at no more than the months until the next match, so the cost
does not depend on how rare or how dense the expression is.

Rejected: walking instants minute by minute (slow, and blind to the gap it steps over); taking the
zone's own list of changes (``zoneinfo`` does not publish it). Asking for both offsets of a wall
time tells gap from repetition, and a bisection finds the change only when there is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from butler.schedules.timezones import SECOND, as_utc, change_within, offsets, wall_time

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from butler.schedules.cron_expression import CronFields

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Clocks change at ``at``, from the wall time ``old_wall`` to ``new_wall``."""

    at: datetime
    old_wall: datetime
    new_wall: datetime


def next_fire(fields: CronFields, zone: ZoneInfo, after: datetime) -> datetime | None:
    """The first fire strictly after this instant, in UTC; ``None`` past the calendar's end."""
    try:
        local = wall_time(zone, after).replace(microsecond=0)
        before, later = offsets(zone, local)
        if before != later:
            return _from_repeated(fields, zone, local)
        return _first(fields, zone, local)
    except OverflowError:
        return None


def moved_from(fields: CronFields, zone: ZoneInfo, fire: datetime) -> datetime | None:
    """The wall time that did not exist and made this fire; ``None`` for a fire in its place."""
    local = wall_time(zone, fire)
    if matches(fields, local):
        return None
    change = change_within(zone, fire - SECOND, fire)
    return next_wall(fields, _walls(zone, change).old_wall - SECOND)


def matches(fields: CronFields, wall: datetime) -> bool:
    """Whether every field allows this wall time (whole seconds)."""
    return bool(
        fields.months >> wall.month & 1
        and fields.hours >> wall.hour & 1
        and fields.minutes >> wall.minute & 1
        and fields.seconds >> wall.second & 1
        and fields.days.in_month(wall.year, wall.month) >> wall.day & 1
    )


def next_wall(fields: CronFields, wall: datetime) -> datetime | None:
    """The first allowed wall time strictly after this one, as if clocks never changed."""
    year, month, day = wall.year, wall.month, wall.day
    days = fields.days.in_month(year, month) if fields.months >> month & 1 else 0
    if days >> day & 1:
        time = _later_that_day(fields, wall)
        if time is not None:
            return datetime(year, month, day, *time)  # noqa: DTZ001 - wall times are naive
    while not (rest := days >> (day + 1)):
        month = month + 1 if month < 12 else 1
        if month == 1:
            year += 1
            if year > 9999:
                return None
        day = 0
        days = fields.days.in_month(year, month) if fields.months >> month & 1 else 0
    day += 1 + _lowest(rest)
    return datetime(  # noqa: DTZ001
        year, month, day, _lowest(fields.hours), _lowest(fields.minutes), _lowest(fields.seconds)
    )


def _later_that_day(fields: CronFields, wall: datetime) -> tuple[int, int, int] | None:
    hour, minute = wall.hour, wall.minute
    if fields.hours >> hour & 1:
        if fields.minutes >> minute & 1 and (rest := fields.seconds >> (wall.second + 1)):
            return hour, minute, wall.second + 1 + _lowest(rest)
        if rest := fields.minutes >> (minute + 1):
            return hour, minute + 1 + _lowest(rest), _lowest(fields.seconds)
    if rest := fields.hours >> (hour + 1):
        return hour + 1 + _lowest(rest), _lowest(fields.minutes), _lowest(fields.seconds)
    return None


def _lowest(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def _first(fields: CronFields, zone: ZoneInfo, wall: datetime) -> datetime | None:
    """The first fire after a wall time that is in no repeated hour, or in its last second."""
    found = next_wall(fields, wall)
    while found is not None:
        before, after = offsets(zone, found)
        if before >= after:
            return as_utc(found, before)
        change = _change(zone, found)
        if _loses(fields, change, found):
            return change.at
        found = next_wall(fields, change.new_wall - SECOND)
    return None


def _from_repeated(fields: CronFields, zone: ZoneInfo, local: datetime) -> datetime | None:
    """The first fire after a wall time that exists twice; ``local.fold`` tells which one it is."""
    before, after = offsets(zone, local)
    change = _change(zone, local)
    walls = local.replace(fold=0)
    if local.fold == 0:
        found = next_wall(fields, walls)
        if found is not None and found < change.old_wall:
            return as_utc(found, before)
        walls = change.new_wall - SECOND
    if fields.every:
        found = next_wall(fields, walls)
        if found is not None and found < change.old_wall:
            return as_utc(found, after)
    return _first(fields, zone, change.old_wall - SECOND)


def _loses(fields: CronFields, gap: Change, first: datetime) -> bool:
    """Whether one of the missing wall times, of which ``first`` is one, must fire after the gap."""
    length = gap.new_wall - gap.old_wall
    missing: datetime | None = first
    while missing is not None and missing < gap.new_wall:
        midnight = missing.replace(hour=0, minute=0, second=0)
        next_midnight = midnight + timedelta(days=1)
        if gap.old_wall <= midnight and next_midnight <= gap.new_wall:
            missing = next_wall(fields, next_midnight - SECOND)
            continue
        if not fields.every or not matches(fields, missing + length):
            return True
        # Gaps are whole minutes nowadays: one second speaks for its minute.
        if not length % MINUTE:
            missing = missing.replace(second=59)
        missing = next_wall(fields, missing)
    return False


def _change(zone: ZoneInfo, wall: datetime) -> Change:
    """The change whose gap or repetition this wall time lies in."""
    low, high = sorted(as_utc(wall, offset) for offset in offsets(zone, wall))
    return _walls(zone, change_within(zone, low, high))


def _walls(zone: ZoneInfo, at: datetime) -> Change:
    return Change(
        at=at.astimezone(UTC),
        old_wall=(wall_time(zone, at - SECOND) + SECOND).replace(fold=0),
        new_wall=wall_time(zone, at).replace(fold=0),
    )
