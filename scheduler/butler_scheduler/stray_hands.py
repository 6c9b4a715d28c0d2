"""Hands whose worker is dead and that nobody has put back, for Redis was away when it died."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar

from butler.clock import SYSTEM_CLOCK
from butler.log import log_event
from butler_scheduler.service import Service

if TYPE_CHECKING:
    from butler.clock import Clock
    from butler.hands import Hands
    from butler.storage.base import Storage
    from butler_scheduler.leader import Leader

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0


class StrayHands(Service):
    """Puts back hands whose worker is not alive in the ledger at two looks in a row.

    Two, because a worker may be seen between its first word to Redis and its first to the ledger.
    Apart from the rescuer, whose rhythm a silent Redis must not disturb.
    """

    name: ClassVar[str] = "stray hands"

    def __init__(
        self,
        storage: Storage,
        *,
        hands: Hands,
        leader: Leader,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(clock=clock)
        self._storage = storage
        self._hands = hands
        self._leader = leader
        self._suspects: set[str] = set()

    def tick(self, now: float) -> float:  # noqa: ARG002 - two looks count, not the time
        """Look at the hands, then at the ledger, and put back what was stray the last time too."""
        if self._leader.epoch() is None:
            self._suspects = set()
            return LOOK_EVERY_S
        found = self._hands.workers()
        alive = self._alive() if found else set()
        stray = found - alive
        for worker_id in sorted(stray & self._suspects):
            if self._leader.epoch() is None or self.stopping:
                break
            moved = self._hands.give_back_all(worker_id)
            log_event(logger, logging.INFO, "hands.put_back", worker_id=worker_id, moved=moved)
        self._suspects = stray
        return LOOK_EVERY_S

    def _alive(self) -> set[str]:
        pulses = self._storage.pulses()
        return {pulse.id for pulse in pulses if not pulse.lost and not pulse.stopped}
