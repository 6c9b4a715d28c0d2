"""`Enrolment`: where a worker is entered before it begins, and struck off when it ends.

In the ledger as a row with its tasks, in Redis with a hand, and with RQ. Servers that are away hold
up a start, because nothing can be done without them, and no stop: a row and a hand that stay behind
are found by the scheduler after a lease.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from butler.errors import QueueUnavailable, StorageUnavailable
from butler.log import log_event

if TYPE_CHECKING:
    from butler.app import Butler
    from butler.hands import Hand
    from butler.storage.records import WorkerRegistration
    from butler_workers.presence import Presence

logger = logging.getLogger(__name__)

RETRY_PAUSE_S = 1.0
SIGN_OFF_S = 2.0


class Enrolment:
    """One worker's entries."""

    def __init__(
        self, butler: Butler, registration: WorkerRegistration, *, hand: Hand, presence: Presence
    ) -> None:
        self._butler = butler
        self._registration = registration
        self._hand = hand
        self._presence = presence

    def register(self) -> None:
        """Enter the tasks and the worker in the ledger; raises what that raises."""
        self._butler.storage.register_tasks(self._butler.tasks())
        self._butler.storage.register_worker(self._registration)

    def open_hand(self) -> None:
        """Have a hand in Redis; waits until there is one."""
        while True:
            try:
                self._hand.open()
            except QueueUnavailable as error:
                log_event(logger, logging.WARNING, "worker.waiting", error=error)
                time.sleep(RETRY_PAUSE_S)
            else:
                return

    def end(self, *, clean: bool) -> None:
        """Strike the worker off, within `SIGN_OFF_S`; hand and row only where it left nothing."""
        leaving = threading.Thread(
            target=self._sign_off, kwargs={"clean": clean}, name="butler-leave", daemon=True
        )
        leaving.start()
        leaving.join(SIGN_OFF_S)
        if leaving.is_alive():
            log_event(logger, logging.WARNING, "worker.not_signed_off", waited_s=SIGN_OFF_S)

    def _sign_off(self, *, clean: bool) -> None:
        self._presence.end()
        if not clean:
            return
        try:
            self._hand.close()
            self._butler.storage.stop_worker(self._registration.id)
        except (QueueUnavailable, StorageUnavailable) as error:
            log_event(logger, logging.WARNING, "worker.not_signed_off", error=error)
