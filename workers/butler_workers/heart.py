"""A worker's own heartbeat, for workers without a supervisor.

Weaker than a supervisor's: a C call that holds the interpreter lock silences it, and the work is
then given to somebody else while it still runs. So only short-lived or embedded workers use it.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from butler.errors import StorageUnavailable
from butler.log import log_event
from butler_workers.lease import HEARTBEAT_S

if TYPE_CHECKING:
    from butler.clock import Clock
    from butler.storage.base import Storage
    from butler_workers.worker import Worker

logger = logging.getLogger(__name__)


class Heart:
    """A thread that keeps one worker's lease."""

    def __init__(
        self, worker: Worker, storage: Storage, clock: Clock, *, every_s: float = HEARTBEAT_S
    ) -> None:
        self._worker = worker
        self._storage = storage
        self._clock = clock
        self._every_s = every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="butler-heart", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """Beat no more; stopping twice or before starting is fine."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(5.0)

    def beat(self) -> None:
        """One heartbeat, and what the ledger answered."""
        sent_at = self._clock.monotonic()
        for reply in self._storage.heartbeat([self._worker.id]):
            self._worker.on_heartbeat(reply, sent_at=sent_at)

    def _run(self) -> None:
        while not self._stopping.wait(self._every_s):
            try:
                self.beat()
            except StorageUnavailable as error:
                log_event(logger, logging.WARNING, "heartbeat.failed", error=error)
