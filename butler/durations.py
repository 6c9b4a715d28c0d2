"""Seconds, as every ``*_s`` option takes them, and days (pure)."""

from __future__ import annotations

import math
from datetime import timedelta

from butler.errors import InvalidOption

# A century: whatever is added to a date stays a date, and a forgotten unit is noticed.
LONGEST_S = 100 * 365.25 * 86_400.0
LONGEST_DAYS = LONGEST_S / 86_400.0


def seconds(
    option: str,
    value: float | timedelta,
    *,
    minimum: float = 0.0,
    exclusive: bool = False,
    maximum: float = LONGEST_S,
) -> float:
    """``value`` in seconds, as a float within ``minimum .. maximum``.

    ``exclusive`` shuts out ``minimum`` itself. Raises `InvalidOption` for what is out of range
    and for what is not a duration: a bool, a str, NaN, an infinity.
    """
    given = _as_float(option, value)
    too_small = given <= minimum if exclusive else given < minimum
    if too_small:
        raise InvalidOption(
            f"{option} must be {'>' if exclusive else '>='} {minimum:g}, got {_shown(value)}"
        )
    if given > maximum:
        raise InvalidOption(f"{option} must be <= {maximum:.10g}, got {_shown(value)}")
    return given


def seconds_text(seconds: float) -> str:
    """A duration for people: ``2.5 ms``, ``20 s``, ``3 min 20 s``, ``2 h 5 min``, ``3 d 4 h``."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 10:
        return f"{seconds:.3g} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    units = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
    whole = round(seconds)
    parts = []
    for size, unit in units:
        count, whole = divmod(whole, size)
        parts.append((count, unit))
    first = next(n for n, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)


def _as_float(option: str, value: object) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidOption(
            f"{option} must be seconds (int or float) or a timedelta, "
            f"got {_shown(value)} ({type(value).__name__})"
        )
    try:
        given = float(value)
    except OverflowError:
        given = math.inf
    if not math.isfinite(given):
        raise InvalidOption(f"{option} must be a finite number of seconds, got {_shown(value)}")
    return given


def _shown(value: object) -> str:
    try:
        shown = str(value) if isinstance(value, timedelta) else repr(value)
    except Exception as exc:  # noqa: BLE001  # an int of 5,000 digits, or a repr of the user's own
        return f"a value without a repr ({type(exc).__name__})"
    return shown if len(shown) <= 80 else shown[:79] + "…"


def check_days(option: str, value: object, *, otherwise: str = "") -> float:
    """Days, > 0 and at most a century's, fractions too; raises `InvalidOption`.

    ``otherwise`` names what else may stand there.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 < value <= LONGEST_DAYS
    ):
        raise InvalidOption(
            f"{option} must be days, > 0 and <= {LONGEST_DAYS:.0f}{otherwise}, got {value!r}"
        )
    return float(value)
