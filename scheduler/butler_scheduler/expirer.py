"""The expirer: what waits and is past its ``expires_at`` ends as cancelled.

A worker that claims too late does the same at once (``claim.sql``); this is for what nobody claims:
scheduled and retrying executions, and queues without a worker.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar

from butler.clock import SYSTEM_CLOCK
from butler.errors import QueueUnavailable
from butler.log import log_event
from butler.storage.base import MAX_BATCH
from butler_scheduler.service import Service

if TYPE_CHECKING:
    from butler.clock import Clock
    from butler.queues import QueueWire
    from butler.storage.base import Storage
    from butler_scheduler.leader import Leader

logger = logging.getLogger(__name__)

PERIOD_S = 1.0


class Expirer(Service):
    """Cancels in the ledger, then takes off the wire; what Redis does not hear claims refuse."""

    name: ClassVar[str] = "expirer"

    def __init__(
        self,
        storage: Storage,
        *,
        wire: QueueWire,
        leader: Leader,
        batch: int = MAX_BATCH,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(clock=clock)
        self._storage = storage
        self._wire = wire
        self._leader = leader
        self._batch = batch

    def tick(self, now: float) -> float:  # noqa: ARG002 - expiry uses the ledger's clock
        """Cancel everything that is late, batch by batch."""
        while not self.stopping and (epoch := self._leader.epoch()) is not None:
            entries = self._storage.expire(epoch=epoch, limit=self._batch)
            if entries:
                log_event(logger, logging.INFO, "expirer.expired", count=len(entries))
                try:
                    self._wire.withdraw(entries)
                except QueueUnavailable as error:
                    log_event(logger, logging.WARNING, "expirer.not_withdrawn", error=error)
            if len(entries) < self._batch:
                break
        return PERIOD_S
