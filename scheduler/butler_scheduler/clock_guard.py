"""Whether the ledger's clock can be believed: a step of it holds whatever is due for a while.

Somebody corrects the server's time, or a failover brings one whose clock is an hour off. Fire times
would pass in an instant, and once the mistake is noticed they could not be brought back. So a jump
of more than a minute, seen against this process's own monotonic clock, holds firing for half a
minute and is reported. What was jumped over is then treated by each job's misfire policy.

Nothing here keeps a fire from happening twice: that is what `next_fire_at` and the record of fires
are for, which only move forward.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from butler.log import log_event

if TYPE_CHECKING:
    from datetime import datetime

    from butler.clock import Clock

logger = logging.getLogger(__name__)

JUMP_S = 60.0
HOLD_S = 30.0


class ClockGuard:
    """Compares each reading of the ledger's clock with the time that passed here; thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: tuple[datetime, float] | None = None
        self._held_until = float("-inf")

    def holds(self, ledger_now: datetime) -> bool:
        """Whether nothing may be fired at this reading, which has just been taken."""
        now_s = self._clock.monotonic()
        with self._lock:
            jumped_s = 0.0
            if self._seen is not None:
                seen_at, seen_s = self._seen
                jumped_s = (ledger_now - seen_at).total_seconds() - (now_s - seen_s)
            self._seen = ledger_now, now_s
            if abs(jumped_s) > JUMP_S:
                self._held_until = now_s + HOLD_S
            held = now_s < self._held_until
        if abs(jumped_s) > JUMP_S:
            log_event(
                logger,
                logging.WARNING,
                "clock.jumped",
                ledger_now=ledger_now.isoformat(),
                by_s=round(jumped_s, 3),
                held_s=HOLD_S,
            )
        return held
