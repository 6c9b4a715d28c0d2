"""``Between``: another schedule inside limits of dates, hours, weekdays and number (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from butler.errors import InvalidSchedule
from butler.schedules.cron_words import listed
from butler.schedules.filters import DAY, HORIZON, TICK, WEEKDAYS, Filter, weekday_names
from butler.schedules.timezones import earliest_instant, load_zone, require_aware

if TYPE_CHECKING:
    from collections.abc import Sequence

    from butler.schedules.base import Schedule

MAX_FIRES = 10_000


@dataclass(frozen=True, slots=True)
class Between(Filter):
    """A schedule inside limits: from start to end, in a window of the day, on some weekdays.

    ``start`` and ``end`` are inclusive, aware datetimes or dates (the whole local day). The window
    is ``opens <= local time < closes`` and may wrap over midnight. ``max_fires`` (1-10,000) counts
    from ``start``, which it needs, and is over after 41 years at the latest. Days and hours are
    those of ``timezone`` (default: the schedule's own, UTC if it has none).
    """

    schedule: Schedule
    start: datetime | date | None = None
    end: datetime | date | None = None
    opens: time | None = None
    closes: time | None = None
    weekdays: Sequence[str] = ()
    max_fires: int | None = None
    timezone: str = ""

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            object.__setattr__(self, name, _limit(name, getattr(self, name)))
        object.__setattr__(self, "weekdays", weekday_names(self.weekdays))
        for name in ("opens", "closes"):
            _check_time(name, getattr(self, name))
        if self.opens is not None and self.opens == self.closes:
            raise InvalidSchedule(f"opens and closes must differ, got {self.opens} twice")
        if self.max_fires is not None:
            _check_max_fires(self.max_fires, start=self.start)
        if all(value in (None, ()) for value in self._limits().values()):
            raise InvalidSchedule(f"Between needs one of {', '.join(self._limits())}, got none")
        self.check()
        first, last = self.first_instant(), self.last_instant()
        if first is not None and last is not None and first > last:
            raise InvalidSchedule(f"start must not be after end, got {self.start} and {self.end}")

    def next_after(self, after: datetime) -> datetime | None:
        """The first fire strictly after an aware datetime that is within all limits."""
        fire = self.within_dates(after)
        if fire is None or self.max_fires is None:
            return fire
        last = _last_counted(self)
        return fire if last is not None and fire <= last else None

    def resume_at(self, wall: datetime) -> datetime | None:
        """The next midnight on other weekdays, the next opening outside the window."""
        midnight = datetime.combine(wall.date(), time())
        if self.weekdays and WEEKDAYS[wall.weekday()] not in self.weekdays:
            return midnight + DAY
        clock, opens = wall.time(), self.opens or time()
        if self.closes is not None and self.closes <= opens:
            inside = clock >= opens or clock < self.closes
        else:
            inside = clock >= opens and (self.closes is None or clock < self.closes)
        if inside:
            return None
        opening = datetime.combine(wall.date(), opens)
        return opening if clock < opens else midnight + DAY

    def describe(self) -> str:
        """The schedule's words, then each limit."""
        limits = [self.schedule.describe()]
        if self.opens is not None or self.closes is not None:
            opens, closes = self.opens or time(), self.closes
            limits.append(f"from {opens:%H:%M:%S} until {closes or '24:00:00'}")
        if self.weekdays:
            limits.append(f"only on {listed(self.weekdays)}")
        if self.start is not None:
            limits.append(f"not before {_iso(self.start)}")
        if self.end is not None:
            limits.append(f"not after {_iso(self.end)}")
        if self.max_fires is not None:
            limits.append(f"at most {self.max_fires} times")
        return f"{', '.join(limits)} ({self.timezone or 'UTC'})"

    def to_json(self) -> dict[str, Any]:
        """``{"type": "between", "schedule": ..., "start": ..., ...}``, what is absent left out."""
        form: dict[str, Any] = {"type": "between", "schedule": self.schedule.to_json()}
        for name, value in self._limits().items():
            if value in (None, ()):
                continue
            form[name] = list(value) if isinstance(value, tuple) else _iso(value)
        return {**form, "timezone": self.timezone}

    def _limits(self) -> dict[str, Any]:
        names = ("start", "end", "opens", "closes", "weekdays", "max_fires")
        return {name: getattr(self, name) for name in names}

    def first_instant(self) -> datetime | None:
        """The instant of ``start``; of a date its local midnight."""
        if self.start is None or isinstance(self.start, datetime):
            return self.start
        return earliest_instant(load_zone(self.timezone), datetime.combine(self.start, time()))

    def last_instant(self) -> datetime | None:
        """The instant of ``end``; of a date the last one of that local day."""
        if self.end is None or isinstance(self.end, datetime):
            return self.end
        next_day = datetime.combine(self.end, time()) + DAY
        return earliest_instant(load_zone(self.timezone), next_day) - TICK

    def within_dates(self, after: datetime) -> datetime | None:
        """``next_after`` without the count of ``max_fires``."""
        moment = require_aware("after", after)
        first, last = self.first_instant(), self.last_instant()
        fire = self.let_through(moment if first is None else max(moment, first - TICK))
        return None if fire is None or (last is not None and fire > last) else fire


@lru_cache(maxsize=1024)
def _last_counted(schedule: Between) -> datetime | None:
    """The fire with which ``max_fires`` is used up: walked once, then kept."""
    start = schedule.first_instant()
    assert start is not None
    last = None
    for _ in range(schedule.max_fires or 0):
        fire = schedule.within_dates(last or start - TICK)
        if fire is None or fire - start > HORIZON:
            break
        last = fire
    return last


def _limit(name: str, value: object) -> datetime | date | None:
    if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
        return value
    return require_aware(name, value)


def _check_time(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, time) or value.tzinfo is not None or value.microsecond:
        raise InvalidSchedule(
            f"{name} must be a time of day in whole seconds, its zone in timezone=, got {value!r}"
        )


def _check_max_fires(max_fires: object, *, start: object) -> None:
    if isinstance(max_fires, bool) or not isinstance(max_fires, int):
        raise InvalidSchedule(f"max_fires must be an int, got {max_fires!r}")
    if not 1 <= max_fires <= MAX_FIRES:
        raise InvalidSchedule(f"max_fires must be in 1..{MAX_FIRES}, got {max_fires}")
    if start is None:
        raise InvalidSchedule("max_fires counts from start: give start= too")


def _iso(value: datetime | date | time | int) -> str | int:
    """Datetimes are UTC by now; numbers stay numbers."""
    return value if isinstance(value, int) else value.isoformat().replace("+00:00", "Z")
