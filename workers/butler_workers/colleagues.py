"""Who else could run a task: what the live workers of its queue have registered.

An execution that this worker does not know bounces between all workers of its queue. How soon it
may come back depends on whether any of them can run it: if so, soon, as it takes a few throws until
that one catches it; if not, ever later: only a deploy can help, and that releases it anyway.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from butler.errors import StorageUnavailable
from butler.log import log_event

if TYPE_CHECKING:
    from butler.clock import Clock
    from butler.storage.base import Storage
    from butler.storage.records import Claimed, WorkerRow

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0


class Colleagues:
    """The other workers, as the ledger had them within the last `LOOK_EVERY_S`."""

    def __init__(self, storage: Storage, *, worker_id: str, clock: Clock) -> None:
        self._storage = storage
        self._worker_id = worker_id
        self._clock = clock
        self._looked_at: float | None = None
        self._rows: list[WorkerRow] = []

    def know(self, claimed: Claimed) -> bool:
        """Whether another worker of this queue knows the task; asks the ledger now and then."""
        self._look()
        return any(
            claimed.task in row.tasks and claimed.queue in row.queues
            for row in self._rows
            if row.id != self._worker_id and not row.lost and row.stopped_at is None
        )

    def _look(self) -> None:
        now = self._clock.monotonic()
        if self._looked_at is not None and now - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = now
        try:
            self._rows = self._storage.workers()
        except StorageUnavailable as error:
            log_event(logger, logging.WARNING, "colleagues.unknown", error=error)
