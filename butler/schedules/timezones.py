"""IANA time zones: loading one by its name, and where its clocks change (pure).

``zoneinfo`` answers from the system's data, or from the ``tzdata`` package where there is none.
"""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from butler.errors import InvalidSchedule, did_you_mean

SECOND = timedelta(seconds=1)

# Files beside the zones that depend on the host or count leap seconds.
_NO_ZONES = ("localtime", "posixrules", "Factory")
_NO_FOLDERS = ("posix/", "right/")


@lru_cache(maxsize=1024)
def load_zone(name: str) -> ZoneInfo:
    """The zone of this IANA name; raises ``InvalidSchedule`` with the name that was meant."""
    if not isinstance(name, str):
        raise InvalidSchedule(
            f'timezone must be an IANA name such as "Europe/Berlin", got {name!r}'
        )
    try:
        if name in _NO_ZONES or name.startswith(_NO_FOLDERS):
            raise zoneinfo.ZoneInfoNotFoundError(name)
        return ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        hint = did_you_mean(name[:64], zoneinfo.available_timezones().difference(_NO_ZONES))
        hint = hint if "did you mean" in hint else '; expected an IANA name such as "Europe/Berlin"'
        raise InvalidSchedule(f'unknown timezone "{name[:64]}"{hint}') from error


def require_aware(name: str, moment: object) -> datetime:
    """The moment in UTC; a naive datetime is refused, because it names no instant."""
    if not isinstance(moment, datetime):
        raise InvalidSchedule(f"{name} must be an aware datetime, got {moment!r}")
    if moment.utcoffset() is None:
        raise InvalidSchedule(
            f"{name} must be an aware datetime, got the naive {moment.isoformat()}: "
            "give it a zone, for example .replace(tzinfo=datetime.UTC)"
        )
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise InvalidSchedule(
            f"{name} must be within the years 1 to 9999 in UTC, got {moment}"
        ) from error


def wall_time(zone: ZoneInfo, instant: datetime) -> datetime:
    """What a clock on the wall there shows, naive; ``fold`` is 1 in a repeated hour's second run.

    ``OverflowError`` at the ends of the calendar.
    """
    return instant.astimezone(zone).replace(tzinfo=None)


def offsets(zone: ZoneInfo, wall: datetime) -> tuple[timedelta, timedelta]:
    """UTC offsets that this wall time would have (before, after) the change it lies in.

    Equal away from changes; before < after in a gap, before > after in a repeated hour.
    """
    before = zone.utcoffset(wall.replace(fold=0))
    after = zone.utcoffset(wall.replace(fold=1))
    assert before is not None
    assert after is not None
    return before, after


def as_utc(wall: datetime, offset: timedelta) -> datetime:
    """The instant at which a clock with this offset shows this wall time."""
    return (wall - offset).replace(tzinfo=UTC, fold=0)


def earliest_instant(zone: ZoneInfo, wall: datetime) -> datetime:
    """The first instant that can be meant by this wall time."""
    return as_utc(wall, max(offsets(zone, wall)))


def change_within(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The first instant in ``(low, high]`` whose offset is not the one of ``low`` (whole seconds).

    The two must lie on different sides of one change.
    """
    old = low.astimezone(zone).utcoffset()
    left, right = 0, int((high - low).total_seconds())
    while right - left > 1:
        middle = (left + right) // 2
        if (low + middle * SECOND).astimezone(zone).utcoffset() == old:
            left = middle
        else:
            right = middle
    return low + right * SECOND
