"""The clock that is injected wherever time decides.

Wall time is for what is written down, monotonic time for what is measured. Neither is compared
with another machine's: see ``butler_scheduler.rescuer`` for how loss is judged.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock(Protocol):
    """Tells the time; tests pass one they can turn."""

    def now(self) -> datetime:
        """Wall time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; goes on while the machine sleeps, never back."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """Wall time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Boot time where there is one: a suspended laptop must not think its lease is fresh."""
        return _boot_time()


class ManualClock:
    """A clock that stands still until it is told to advance (for tests)."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._monotonic = 0.0

    def now(self) -> datetime:
        """The time it was set to."""
        return self._now

    def monotonic(self) -> float:
        """Seconds it was advanced by so far."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Move both clocks forward."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds


class MovableClock(SystemClock):
    """The machine's clocks, moved forward as often as it is told (for what lives in memory)."""

    def __init__(self) -> None:
        self._ahead_s = 0.0

    def now(self) -> datetime:
        """Wall time, and what it was advanced by."""
        return super().now() + timedelta(seconds=self._ahead_s)

    def monotonic(self) -> float:
        """Boot time, and what it was advanced by."""
        return super().monotonic() + self._ahead_s

    def advance(self, seconds: float) -> None:
        """Move both clocks forward."""
        self._ahead_s += seconds


# Chosen once: each attempt asks.
_boot_time: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    if hasattr(time, "CLOCK_BOOTTIME")
    else time.monotonic
)


SYSTEM_CLOCK = SystemClock()
