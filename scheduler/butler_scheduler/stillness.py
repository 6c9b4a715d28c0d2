"""How long a counter has stood still, told without comparing clocks.

Whoever lives raises a counter in the ledger. Whoever watches reads it again and again and adds up,
on its own monotonic clock, the time in which it did not move. Only time between two readings that
each answered quickly is added: while the ledger is paused or away nobody can raise a counter, so
that time says nothing about anybody. Neither does a gap much longer than the watcher's rhythm: it
was stopped itself, or the whole machine slept, and those it watches may have slept with it.

Rejected: a heartbeat time in the row, compared with now(). After a pause of the server of 7 s, with
a lease of 5 s, up to 16 of 16 healthy workers looked dead, because the times were taken before the
pause and compared after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from butler.clock import Clock

ANSWERED_WITHIN_S = 1.0
LONGEST_GAP_S = 3.0


class StillnessWatch:
    """Adds up how long each of several values has stood still while the ledger answered.

    Call `ask` before a reading and `answer` with what was read. A reading that raised is never
    answered, and the time on both sides of it is not counted.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked_at = 0.0
        self._gap_s: float | None = None
        self._answered_at: float | None = None
        self._seen: dict[str, tuple[Hashable, float]] = {}

    def ask(self) -> None:
        """A reading begins."""
        self._asked_at = self._clock.monotonic()
        self._gap_s = None if self._answered_at is None else self._asked_at - self._answered_at
        self._answered_at = None

    def answer(self, values: Mapping[str, Hashable]) -> dict[str, float]:
        """What was read; returns for each key the seconds its value has stood still."""
        now = self._clock.monotonic()
        quick = now - self._asked_at <= ANSWERED_WITHIN_S
        counted_s = self._gap_s if quick and self._gap_s is not None else 0.0
        if counted_s > LONGEST_GAP_S:
            counted_s = 0.0
        self._answered_at = now if quick else None
        seen = {}
        for key, value in values.items():
            before, still_s = self._seen.get(key, (None, 0.0))
            same = key in self._seen and before == value
            seen[key] = (value, still_s + counted_s if same else 0.0)
        self._seen = seen
        return {key: still_s for key, (_, still_s) in seen.items()}
