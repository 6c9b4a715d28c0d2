"""The supervisor's heartbeat: it vouches for its children, and brings them the ledger's answer."""

from __future__ import annotations

import logging
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING

from butler.clock import SYSTEM_CLOCK
from butler.errors import StorageUnavailable
from butler.log import log_event

if TYPE_CHECKING:
    from butler.app import Butler
    from butler_workers.children import ChildProcess
    from butler_workers.probing import SupervisorHealth

logger = logging.getLogger(__name__)

STOP_S = 1.0


class Heartbeats:
    """A thread that tells the ledger which children live, and the children what it answered."""

    def __init__(
        self, butler: Butler, children: dict[str, ChildProcess], *, health: SupervisorHealth
    ) -> None:
        self._butler = butler
        self._children = children
        self._health = health
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="butler-heartbeats", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """Beat no more; one that waits for the ledger is left to itself."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(STOP_S)

    def beat_now(self) -> None:
        """A child has become ready: do not let it wait for its first heartbeat."""
        self._wake.set()

    def beat(self) -> None:
        """One heartbeat for all children that are ready and alive."""
        living = {
            worker_id: child
            for worker_id, child in list(self._children.items())
            if child.ready and child.poll() is None
        }
        if not living:
            return
        sent_at = SYSTEM_CLOCK.monotonic()
        for reply in self._butler.storage.heartbeat(list(living)):
            self._health.heartbeat()
            child = living[reply.worker_id]
            child.note_cancelled(row.id for row in reply.running if row.cancel_requested)
            child.line.offer(
                "heartbeat",
                lost=reply.lost,
                sent_at=sent_at,
                running=[asdict(row) for row in reply.running],
            )

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(self._butler.settings.heartbeat_every_s)
            self._wake.clear()
            try:
                self.beat()
            except StorageUnavailable as error:
                log_event(logger, logging.WARNING, "heartbeat.failed", error=error)
            except Exception:
                logger.exception("heartbeat.failed; going on")
