"""Schedules that let only some fires of another one through, and ``Except`` (pure).

Guarantee: a step that refuses a fire resumes where the next one could be let through (the next
local midnight, or the hour the window opens), so a schedule of every second behind a filter of
one hour a week costs a handful of steps; and it gives up ``HORIZON`` after the first candidate,
so a filter that never lets anything through ends in ``None`` instead of a busy processor. Such a
pair is refused when it is made.
"""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_left
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from butler.errors import InvalidSchedule
from butler.schedules.base import PreviewedFire, Schedule, check_parts
from butler.schedules.cron_words import listed
from butler.schedules.timezones import earliest_instant, load_zone, wall_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
BUSINESS_DAYS = WEEKDAYS[:5]
WEEKEND = WEEKDAYS[5:]

MAX_DATES = 2000
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
# 29 February on a given weekday comes back after 40 years at most (around 2100).
HORIZON = timedelta(days=41 * 366)
# Where the search for a pair that never fires begins: with the offsets zones have today.
SEARCH_FROM = datetime(2000, 1, 1, tzinfo=UTC)


class Filter(Schedule):
    """A schedule of which some fires are let through, judged by the wall clock of a zone."""

    __slots__ = ()

    schedule: Schedule
    timezone: str

    @abstractmethod
    def resume_at(self, wall: datetime) -> datetime | None:
        """``None`` lets a fire at this wall time through; else nothing is before what it says."""

    @property
    def parts(self) -> tuple[Schedule, ...]:
        """The schedule that is filtered."""
        return (self.schedule,)

    def zone_names(self) -> frozenset[str]:
        """The zones of what is filtered."""
        return self.schedule.zone_names()

    def previewed(self, fire: datetime) -> PreviewedFire:
        """What the filtered schedule says; in this one's zone where that one has none."""
        inner = self.schedule.previewed(fire)
        if self.schedule.zone_names():
            return inner
        return replace(inner, local=fire.astimezone(load_zone(self.timezone)))

    def let_through(self, after: datetime) -> datetime | None:
        """The first fire strictly after ``after`` that the filter lets through."""
        zone = load_zone(self.timezone)
        fire = self.schedule.next_after(after)
        try:
            horizon = fire + HORIZON if fire else None
            while fire is not None and horizon is not None and fire <= horizon:
                resume = self.resume_at(wall_time(zone, fire))
                if resume is None:
                    return fire
                fire = self.schedule.next_after(max(fire, earliest_instant(zone, resume) - TICK))
        except OverflowError:
            return None  # the end of the calendar
        return None

    def check(self) -> None:
        """Settle the zone; refuse too many parts and a filter that lets nothing through."""
        check_parts(self)
        zones = self.schedule.zone_names()
        if not self.timezone and len(zones) > 1:
            raise InvalidSchedule(
                f"{type(self).__name__} of several zones ({', '.join(sorted(zones))}) "
                "must be told in which one its days and hours are: give timezone="
            )
        object.__setattr__(self, "timezone", self.timezone or next(iter(zones), "UTC"))
        load_zone(self.timezone)
        has_candidates = self.schedule.next_after(SEARCH_FROM) is not None
        if has_candidates and self.let_through(SEARCH_FROM) is None:
            raise InvalidSchedule(f"never fires: {self.describe()}")


@dataclass(frozen=True, slots=True)
class Except(Filter):
    """A schedule without the days of a calendar, such as holidays.

    ``dates`` are single days, ``yearly`` days of each year as ``"MM-DD"``, ``weekdays`` names such
    as ``"sat"``. Days are those of ``timezone`` (default: the schedule's own, UTC if it has none).
    At most 2,000 dates.
    """

    schedule: Schedule
    dates: Sequence[date] = ()
    yearly: Sequence[str] = ()
    weekdays: Sequence[str] = ()
    timezone: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "dates", tuple(sorted(set(map(_plain_date, self.dates)))))
        object.__setattr__(self, "yearly", tuple(sorted(set(map(_month_day, self.yearly)))))
        object.__setattr__(self, "weekdays", weekday_names(self.weekdays))
        if not (self.dates or self.yearly or self.weekdays):
            raise InvalidSchedule("Except needs dates=, yearly= or weekdays=, got none of them")
        if len(self.dates) > MAX_DATES:
            raise InvalidSchedule(f"dates must be at most {MAX_DATES}, got {len(self.dates)}")
        self.check()

    def next_after(self, after: datetime) -> datetime | None:
        """The first fire strictly after an aware datetime that is on no excepted day."""
        return self.let_through(after)

    def resume_at(self, wall: datetime) -> datetime | None:
        """The next midnight, when the day is excepted."""
        day = wall.date()
        place = bisect_left(self.dates, day)
        excepted = (
            self.dates[place : place + 1] == (day,)
            or WEEKDAYS[day.weekday()] in self.weekdays
            or (bool(self.yearly) and f"{day:%m-%d}" in self.yearly)
        )
        return datetime.combine(day, time()) + DAY if excepted else None

    def describe(self) -> str:
        """The schedule's words, then ``, except on sat and sun``."""
        days = [*self.weekdays, *(f"every {day}" for day in self.yearly)]
        if len(self.dates) > 5:
            days.append(f"{len(self.dates)} dates")
        else:
            days += [day.isoformat() for day in self.dates]
        return f"{self.schedule.describe()}, except on {listed(days)} ({self.timezone})"

    def to_json(self) -> dict[str, Any]:
        """``{"type": "except", "schedule": ..., "dates": [...], ...}``, what is empty left out."""
        form: dict[str, Any] = {
            "dates": [day.isoformat() for day in self.dates],
            "yearly": list(self.yearly),
            "weekdays": list(self.weekdays),
        }
        kept = {key: value for key, value in form.items() if value}
        inner = {"type": "except", "schedule": self.schedule.to_json()}
        return {**inner, **kept, "timezone": self.timezone}


def weekday_names(names: Iterable[str]) -> tuple[str, ...]:
    """``("sat", "sun")`` in the week's order and lower case; raises ``InvalidSchedule``."""
    if isinstance(names, str):
        raise InvalidSchedule(f'weekdays must be a list such as ["sat", "sun"], got {names!r}')
    found = set()
    for name in names:
        day = str(name).casefold()
        if day not in WEEKDAYS:
            raise InvalidSchedule(f"weekdays must be of {', '.join(WEEKDAYS)}, got {name!r}")
        found.add(day)
    return tuple(day for day in WEEKDAYS if day in found)


def _plain_date(day: object) -> date:
    if not isinstance(day, date) or isinstance(day, datetime):
        raise InvalidSchedule(f"dates must be dates without a time, got {day!r}")
    return day


def _month_day(text: object) -> str:
    try:
        return f"{date.fromisoformat(f'2000-{text}'):%m-%d}"
    except ValueError as error:
        raise InvalidSchedule(f'yearly must be days as "MM-DD", got {text!r}') from error
