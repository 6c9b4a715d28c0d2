"""The recurring service: jobs fire at their times, at most once each, however many schedulers run.

The guarantee (G3) does not rest on leadership, which only saves work. Each fire is one transaction
that records the fire time under the primary key (job, fire time), makes the execution and moves the
job on, for a job whose next fire time is still the one that was decided; and it checks the epoch.
Two schedulers that both believe to lead, one of them stopped for an hour in mid-tick, write once.

Due times are the ledger's. Between two looks the service sleeps exactly until the next known due
time, and never longer than `LOOK_EVERY_S`: a job that was added, changed, paused or resumed
anywhere is obeyed that soon. Rejected: NOTIFY at each change, which would still need the look
behind a pooler, and whose gain over a fifth of a second nobody would see.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar

from butler.clock import SYSTEM_CLOCK
from butler.log import log_event
from butler.recurring.firing import AHEAD_S
from butler_scheduler.service import Service

if TYPE_CHECKING:
    from butler.clock import Clock
    from butler.recurring.firing import Firer
    from butler.storage.base import Storage
    from butler_scheduler.clock_guard import ClockGuard
    from butler_scheduler.leader import Leader

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.2
# Jobs that are due within milliseconds of one another go in one batch.
GATHER_S = 0.005


class Recurring(Service):
    """Fires due jobs and starts waiting fires; acts only while leading."""

    name: ClassVar[str] = "recurring"

    def __init__(
        self,
        storage: Storage,
        *,
        firer: Firer,
        leader: Leader,
        guard: ClockGuard,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(clock=clock)
        self._storage = storage
        self._firer = firer
        self._leader = leader
        self._guard = guard

    def tick(self, now: float) -> float:
        """Fire what is due; sleeps until the next due time, at most `LOOK_EVERY_S`."""
        if self._epoch() is None:
            self._firer.forget()
            return LOOK_EVERY_S
        pulse = self._storage.recurring_pulse()
        if self._guard.holds(pulse.now):
            return LOOK_EVERY_S
        made = self._firer.release_waiting(self._epoch) if pulse.waiting else 0
        is_due = pulse.due_in_s is not None and pulse.due_in_s <= 0
        if is_due:
            made += self._firer.fire_due(self._epoch, now=pulse.now)
        if made:
            log_event(logger, logging.DEBUG, "recurring.fired", executions=made)
        if is_due:
            return GATHER_S
        if pulse.due_in_s is None:
            return LOOK_EVERY_S
        if pulse.due_in_s < AHEAD_S and self._firer.prepare(self._epoch, now=pulse.now):
            return 0.0
        spent_s = self._clock.monotonic() - now
        return min(max(pulse.due_in_s - spent_s, 0.0), LOOK_EVERY_S)

    def _epoch(self) -> int | None:
        return None if self.stopping else self._leader.epoch()
