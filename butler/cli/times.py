"""Times and durations as people write them on a command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

_UNITS_S = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d|w)?")


class Duration(click.ParamType):  # type: ignore[type-arg]
    """``90``, ``90s``, ``5m``, ``2h``, ``3d``, ``1w``: seconds."""

    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Seconds."""
        found = _seconds(value)
        if found is None:
            self.fail(f"{value!r} is no duration: write 90s, 5m, 2h, 3d or 1w", param, ctx)
        return found


class Moment(click.ParamType):  # type: ignore[type-arg]
    """An ISO 8601 time, or a duration from now: into the past, or into the future."""

    name = "time"

    def __init__(self, *, sign: int) -> None:
        self._sign = sign

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        """An aware time in UTC; one without a zone is the machine's."""
        if isinstance(value, datetime):
            return value
        seconds = _seconds(value)
        try:
            if seconds is not None:
                return datetime.now(UTC) + timedelta(seconds=self._sign * seconds)
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is no time: write 2h, 3d or 2026-11-24T08:00 (or with a zone, +01:00)",
                param,
                ctx,
            )


DURATION = Duration()
PAST = Moment(sign=-1)
FUTURE = Moment(sign=1)


def _seconds(value: Any) -> float | None:
    matched = _DURATION.fullmatch(str(value).strip())
    if matched is None:
        return None
    number, unit = matched.groups()
    return float(number) * _UNITS_S[unit or "s"]
