"""The stager: what is scheduled or retrying and due becomes queued.

It looks ten times a second, and sooner when the next row is due or when the ledger tells that a
transaction has brought some: what was enqueued in a transaction is to run when that commits.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar

from butler.clock import SYSTEM_CLOCK
from butler.errors import QueueUnavailable, StorageUnavailable
from butler.log import log_event
from butler.storage.base import MAX_BATCH
from butler_scheduler.service import Service

if TYPE_CHECKING:
    from butler.clock import Clock
    from butler.queues import QueueWire
    from butler.storage.base import Listening, Storage
    from butler_scheduler.clock_guard import ClockGuard
    from butler_scheduler.leader import Leader
    from butler_scheduler.turn_keys import TurnKeys

logger = logging.getLogger(__name__)

# A row enqueued a moment ago may be due before any that was known: this bounds how late it is seen.
LOOK_EVERY_S = 0.1
# After a batch, more is often due within milliseconds: gather those rather than chase each.
GATHER_S = 0.01


class Stager(Service):
    """Moves due executions to queued in the ledger, then pushes them.

    Killed between the two, or without Redis, it leaves rows that are queued and held by nobody:
    the reconciler pushes those.
    """

    name: ClassVar[str] = "stager"

    def __init__(
        self,
        storage: Storage,
        *,
        wire: QueueWire,
        leader: Leader,
        guard: ClockGuard | None = None,
        turn_keys: TurnKeys | None = None,
        batch: int = MAX_BATCH,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(clock=clock)
        self._storage = storage
        self._wire = wire
        self._leader = leader
        self._guard = guard
        self._turn_keys = turn_keys
        self._batch = batch
        self._listening: Listening | None = None

    def start(self) -> None:
        """Begin to tick, and to hear of what transactions bring."""
        if self._listening is None and not self.stopping:
            try:
                self._listening = self._storage.listen(self.wake)
            except StorageUnavailable as error:
                # Looking finds it as well, a little later.
                log_event(logger, logging.WARNING, "stager.not_listening", error=error)
        super().start()

    def wind_down(self) -> None:
        """Hear no more."""
        if self._listening is not None:
            self._listening.close()

    def tick(self, now: float) -> float:  # noqa: ARG002 - due times use the ledger's clock
        """Stage what is due; sleeps exactly until the next known due time, at most 100 ms."""
        if self._leader.epoch() is None:
            return LOOK_EVERY_S
        # A read: idle schedulers must not take row locks ten times a second.
        due_in_s = self._storage.next_due_in_s()
        if due_in_s is not None and due_in_s <= 0:
            if self._guard is not None and self._guard.holds(self._storage.now()):
                return LOOK_EVERY_S
            return GATHER_S if self._stage() else LOOK_EVERY_S
        return LOOK_EVERY_S if due_in_s is None else min(due_in_s, LOOK_EVERY_S)

    def _stage(self) -> int:
        staged = 0
        while not self.stopping and (epoch := self._leader.epoch()) is not None:
            entries = self._storage.stage(epoch=epoch, limit=self._batch)
            staged += len(entries)
            if entries:
                ready = entries if self._turn_keys is None else self._turn_keys.complete(entries)
                try:
                    self._wire.push(ready)
                except QueueUnavailable as error:
                    log_event(
                        logger,
                        logging.WARNING,
                        "stager.not_pushed",
                        count=len(entries),
                        error=error,
                    )
            if len(entries) < self._batch:
                break
        if staged:
            log_event(logger, logging.DEBUG, "stager.staged", count=staged)
        return staged
