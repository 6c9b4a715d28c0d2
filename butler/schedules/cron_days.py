"""Which days of a month a cron expression allows: day-of-month with day-of-week (pure).

A month's days depend only on its length and on the weekday it starts with, so there are 28 kinds
of month. A rule's answer for each kind is worked out once and kept: that makes ``LW`` as cheap
to walk as ``15``, and proves "never fires" by looking at seven months instead of searching years.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass, field

from butler.schedules.cron_field import DAY, WEEKDAY, read_masks, read_value

FULL_MONTH = (1 << 32) - 2
FULL_WEEK = (1 << 7) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOfMonth:
    """``day`` counted from the start, or ``from_end`` days before the last; maybe a weekday."""

    day: int = 0
    from_end: int = 0
    nearest_weekday: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NthWeekday:
    """The nth (1-5) weekday of a month, 0 for the last one; Sunday is 0."""

    weekday: int
    nth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRule:
    """The days of any month, as bits 1 to 31.

    As in crontab: when both fields are restricted (do not start with ``*`` or ``?``) a day that
    fits either is allowed, otherwise a day must fit both.
    """

    days: int
    day_specials: tuple[DayOfMonth, ...]
    weekdays: int
    weekday_specials: tuple[NthWeekday, ...]
    either: bool
    _kinds: dict[tuple[int, int], int] = field(default_factory=dict, compare=False, repr=False)

    def in_month(self, year: int, month: int) -> int:
        """The allowed days of this month as bits."""
        monday_first, length = calendar.monthrange(year, month)
        return self._of_kind(((monday_first + 1) % 7, length))

    def can_match(self, months: int) -> bool:
        """Whether any of these months (bits) ever has an allowed day."""
        lengths = {30: 0b101001010000, 31: 0b1010110101010, 28: 0b100, 29: 0b100}
        return any(
            self._of_kind((first, length))
            for length, having in lengths.items()
            if months & having
            for first in range(7)
        )

    def _of_kind(self, kind: tuple[int, int]) -> int:
        """``kind`` is the weekday of the 1st (Sunday is 0) and the number of days."""
        found = self._kinds.get(kind)
        if found is None:
            found = self._kinds[kind] = self._work_out(*kind)
        return found

    def _work_out(self, first: int, length: int) -> int:
        by_day = self.days
        for special in self.day_specials:
            by_day |= _day_bit(special, first, length)
        by_weekday = 0
        for day in range(1, length + 1):
            if self.weekdays >> ((first + day - 1) % 7) & 1:
                by_weekday |= 1 << day
        for nth in self.weekday_specials:
            by_weekday |= _nth_bit(nth, first, length)
        both = by_day | by_weekday if self.either else by_day & by_weekday
        return both & ((1 << (length + 1)) - 2)


def parse_days(day_text: str, weekday_text: str) -> DayRule:
    """Read the two day fields (upper case); raises ``InvalidSchedule`` naming the field."""
    days, day_specials = read_masks(DAY, day_text, special=_day_special)
    weekdays, weekday_specials = read_masks(WEEKDAY, weekday_text, special=_weekday_special)
    return DayRule(
        days=days,
        day_specials=day_specials,
        weekdays=weekdays,
        weekday_specials=weekday_specials,
        either=day_text[0] not in "*?" and weekday_text[0] not in "*?",
    )


_LAST = re.compile(r"L(?:-([0-9]{1,2}))?(W?)")
_NEAREST = re.compile(r"([0-9]{1,2})W")
_NTH = re.compile(r"([0-9A-Z]+)#([1-5])")
_LAST_WEEKDAY = re.compile(r"([0-9A-Z]+)L|L([0-9A-Z]+)")


def _day_special(item: str) -> DayOfMonth | None:
    if found := _LAST.fullmatch(item):
        from_end = int(found[1] or 0)
        if from_end > 30 or (found[1] and not from_end):
            return None  # the plain reader refuses it, with what is allowed
        return DayOfMonth(from_end=from_end, nearest_weekday=bool(found[2]))
    if found := _NEAREST.fullmatch(item):
        day = read_value(DAY, found[1])
        return DayOfMonth(day=day, nearest_weekday=True) if day else None
    return None


def _weekday_special(item: str) -> NthWeekday | None:
    if found := _NTH.fullmatch(item):
        weekday, nth = read_value(WEEKDAY, found[1]), int(found[2])
    elif found := _LAST_WEEKDAY.fullmatch(item):
        weekday, nth = read_value(WEEKDAY, found[1] or found[2]), 0
    else:
        return None
    return None if weekday is None else NthWeekday(weekday=weekday, nth=nth)


def _day_bit(special: DayOfMonth, first: int, length: int) -> int:
    day = special.day or length - special.from_end
    if not 1 <= day <= length:
        return 0
    if special.nearest_weekday:
        day = _nearest_weekday(day, first, length)
    return 1 << day


def _nearest_weekday(day: int, first: int, length: int) -> int:
    """Monday to Friday, never in another month: as Quartz defines ``W``."""
    weekday = (first + day - 1) % 7
    if weekday == 6:
        return day - 1 if day > 1 else day + 2
    if weekday == 0:
        return day + 1 if day < length else day - 2
    return day


def _nth_bit(nth: NthWeekday, first: int, length: int) -> int:
    day = 1 + (nth.weekday - first) % 7
    if nth.nth:
        day += 7 * (nth.nth - 1)
        return 1 << day if day <= length else 0
    return 1 << day + 7 * ((length - day) // 7)
