"""When to fire: ``Cron``, ``Interval``, ``Once`` and what combines them (pure).

A schedule is a value: frozen, hashable, comparable, and the same JSON in the ledger, in the API
and in TOML. It knows no clock and does no I/O: ``next_after(moment)`` is a function. What
daylight saving does to a cron expression is in ``butler.schedules.cron_walk``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from butler.errors import InvalidSchedule
from butler.schedules.base import PreviewedFire, Schedule, check_parts
from butler.schedules.between import Between
from butler.schedules.cron_expression import normalise, parse_cron
from butler.schedules.cron_walk import moved_from, next_fire
from butler.schedules.cron_words import cron_in_words, listed
from butler.schedules.filters import BUSINESS_DAYS, WEEKEND, Except
from butler.schedules.timezones import load_zone, offsets, require_aware, wall_time

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BUSINESS_DAYS",
    "WEEKEND",
    "AnyOf",
    "Between",
    "Cron",
    "Except",
    "Interval",
    "Once",
    "PreviewedFire",
    "Schedule",
    "schedule_from_json",
]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_INTERVAL_S = 36_525 * 86_400.0  # a century


@dataclass(frozen=True, slots=True)
class Cron(Schedule):
    """The wall-clock times of an IANA zone that a cron expression allows.

    5 fields, 6 with seconds first, or an ``@`` alias; ``timezone`` is the zone's name. A fixed
    time that does not exist fires at the end of the gap, one that exists twice fires the first
    time; "every n" follows real time. ``InvalidSchedule`` names the field that cannot be read.
    """

    expression: str
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        object.__setattr__(self, "expression", normalise(self.expression))
        parse_cron(self.expression)
        load_zone(self.timezone)

    def next_after(self, after: datetime) -> datetime | None:
        """The first fire strictly after an aware datetime, in UTC; ``None`` past the year 9999."""
        moment = require_aware("after", after)
        return next_fire(parse_cron(self.expression), load_zone(self.timezone), moment)

    def describe(self) -> str:
        """``at 02:30 every day, Europe/Berlin time``."""
        return f"{cron_in_words(parse_cron(self.expression))}, {self.timezone} time"

    def to_json(self) -> dict[str, Any]:
        """``{"type": "cron", "expression": ..., "timezone": ...}``."""
        return {"type": "cron", "expression": self.expression, "timezone": self.timezone}

    def zone_names(self) -> frozenset[str]:
        """Its own zone."""
        return frozenset((self.timezone,))

    def previewed(self, fire: datetime) -> PreviewedFire:
        """The fire in its zone, marked when clocks change around it."""
        zone = load_zone(self.timezone)
        wall = wall_time(zone, fire)
        before, after = offsets(zone, wall)
        return PreviewedFire(
            at=fire,
            local=fire.astimezone(zone),
            moved_from=moved_from(parse_cron(self.expression), zone, fire),
            occurrence=wall.fold + 1 if before > after else None,
        )


@dataclass(frozen=True, slots=True, init=False)
class Interval(Schedule):
    """Every ``every_s`` seconds of real time, in step with ``anchor``.

    ``every_s`` is 1 second to a century, or a ``timedelta``; fires are at ``anchor + k * every_s``
    for every whole k, also before the anchor, which sets the phase and not the start (for that
    use ``Between``). The default anchor is 1970-01-01T00:00:00Z.
    """

    every_s: float
    anchor: datetime

    def __init__(self, every_s: float | timedelta, *, anchor: datetime | None = None) -> None:
        every = every_s.total_seconds() if isinstance(every_s, timedelta) else every_s
        if isinstance(every, bool) or not isinstance(every, int | float):
            raise InvalidSchedule(f"every_s must be seconds or a timedelta, got {every_s!r}")
        if not (math.isfinite(every) and 1 <= every <= MAX_INTERVAL_S):
            raise InvalidSchedule(f"every_s must be in 1..{MAX_INTERVAL_S:.0f}, got {every_s!r}")
        object.__setattr__(self, "every_s", float(every))
        object.__setattr__(
            self, "anchor", EPOCH if anchor is None else require_aware("anchor", anchor)
        )

    def next_after(self, after: datetime) -> datetime | None:
        """The first fire strictly after an aware datetime, in UTC; ``None`` past the year 9999."""
        moment = require_aware("after", after)
        every = timedelta(seconds=self.every_s)
        try:
            return self.anchor + ((moment - self.anchor) // every + 1) * every
        except OverflowError:
            return None

    def describe(self) -> str:
        """``every 90 seconds``, with the anchor when one was given."""
        count, unit = self.every_s, "second"
        for size, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
            if count % size == 0:
                count, unit = count / size, name
                break
        rhythm = f"every {unit}" if count == 1 else f"every {count:.15g} {unit}s"
        return rhythm if self.anchor == EPOCH else f"{rhythm}, in step with {_iso(self.anchor)}"

    def to_json(self) -> dict[str, Any]:
        """``{"type": "interval", "every_s": ..., "anchor": ...}``; no anchor when it is 1970."""
        whole = self.every_s.is_integer()
        form = {"type": "interval", "every_s": int(self.every_s) if whole else self.every_s}
        return form if self.anchor == EPOCH else form | {"anchor": _iso(self.anchor)}

    def zone_names(self) -> frozenset[str]:
        """None: real time has no zone."""
        return frozenset()

    def previewed(self, fire: datetime) -> PreviewedFire:
        """The fire, never moved."""
        return PreviewedFire(at=fire, local=fire)


@dataclass(frozen=True, slots=True)
class Once(Schedule):
    """One fire, at an aware datetime; kept in UTC."""

    at: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", require_aware("at", self.at))

    def next_after(self, after: datetime) -> datetime | None:
        """``at`` as long as ``after`` is before it, then ``None``."""
        return self.at if require_aware("after", after) < self.at else None

    def describe(self) -> str:
        """``once, at 2026-03-07T12:00:00Z``."""
        return f"once, at {_iso(self.at)}"

    def to_json(self) -> dict[str, Any]:
        """``{"type": "once", "at": ...}``."""
        return {"type": "once", "at": _iso(self.at)}

    def zone_names(self) -> frozenset[str]:
        """None: an instant has no zone."""
        return frozenset()

    def previewed(self, fire: datetime) -> PreviewedFire:
        """The fire, never moved."""
        return PreviewedFire(at=fire, local=fire)


@dataclass(frozen=True, slots=True, init=False)
class AnyOf(Schedule):
    """Fires whenever one of its schedules does; once when several do at the same instant."""

    schedules: tuple[Schedule, ...]

    def __init__(self, *schedules: Schedule) -> None:
        if not schedules:
            raise InvalidSchedule("AnyOf needs at least one schedule, got none")
        object.__setattr__(self, "schedules", schedules)
        check_parts(self)

    @property
    def parts(self) -> tuple[Schedule, ...]:
        """Its schedules."""
        return self.schedules

    def next_after(self, after: datetime) -> datetime | None:
        """The earliest of the parts' next fires."""
        fires = (schedule.next_after(after) for schedule in self.schedules)
        return min((fire for fire in fires if fire is not None), default=None)

    def describe(self) -> str:
        """The parts, joined with "or"."""
        return listed([schedule.describe() for schedule in self.schedules], last="or")

    def to_json(self) -> dict[str, Any]:
        """``{"type": "any_of", "schedules": [...]}``."""
        return {"type": "any_of", "schedules": [part.to_json() for part in self.schedules]}

    def zone_names(self) -> frozenset[str]:
        """The zones of all parts."""
        return frozenset().union(*(part.zone_names() for part in self.schedules))

    def previewed(self, fire: datetime) -> PreviewedFire:
        """What the first part that fires then says."""
        just_before = fire - timedelta(microseconds=1)
        owner = next(part for part in self.schedules if part.next_after(just_before) == fire)
        return owner.previewed(fire)


def schedule_from_json(form: Mapping[str, Any]) -> Schedule:
    """The schedule of a JSON form; ``InvalidSchedule`` says which key is wrong, and why."""
    from butler.schedules.forms import read_schedule

    return read_schedule(form)


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
