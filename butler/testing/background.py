"""`background_worker`: a worker in threads of the test's own process."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from butler.clock import SYSTEM_CLOCK
from butler.errors import ButlerError
from butler.ids import new_id
from butler.log import log_event
from butler.monitoring.alerts.watchman import Watchman
from butler.parks import Parks
from butler.queue_names import DEFAULT_QUEUE
from butler.recurring.firing import Firer
from butler.storage.base import MAX_BATCH
from butler.storage.memory import MemoryStorage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from butler.app import Butler

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.01
DRAIN_S = 10.0


@contextmanager
def background_worker(
    butler: Butler, *, queues: tuple[str, ...], concurrency: int
) -> Iterator[None]:
    """Run a worker inside the block, and drain it afterwards; in memory with a stager."""
    from butler_workers.heart import Heart
    from butler_workers.worker import Worker

    butler.import_tasks()
    worker = Worker(butler, queues=queues or queues_of(butler), concurrency=concurrency)
    heart = Heart(worker, butler.storage, SYSTEM_CLOCK)
    stager = Stager(butler)
    worker.start()
    heart.start()
    stager.start()
    try:
        yield
    finally:
        stager.stop()
        worker.drain(DRAIN_S)
        heart.stop()


def queues_of(butler: Butler) -> tuple[str, ...]:
    """The queues of the registered tasks, and the default one."""
    return tuple(sorted({DEFAULT_QUEUE, *(spec.options.queue for spec in butler.registry)}))


class Stager:
    """The scheduler's part for a ledger in memory: what is due is queued. Real ones have theirs.

    Recurring jobs fire, those that code declares too; alerts open and are delivered.
    """

    def __init__(self, butler: Butler) -> None:
        self._butler = butler
        self._id = new_id()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="butler-stager", daemon=True)

    def start(self) -> None:
        """Begin, if the ledger is in memory."""
        if isinstance(self._butler.storage, MemoryStorage):
            self._butler.recurring.sync()
            self._thread.start()

    def stop(self) -> None:
        """Stage no more; stopping twice or before starting is fine."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(5.0)

    def _run(self) -> None:
        storage = self._butler.storage
        epoch = storage.take_leadership(self._id, observed=storage.leadership())
        if epoch is None:
            return
        watchman = Watchman(self._butler, clock=self._butler.clock)
        parks = Parks(self._butler.redis)
        firer = Firer(storage, pusher=self._butler.pusher, clock=self._butler.clock)
        while not self._stopping.wait(LOOK_EVERY_S):
            try:
                firer.release_waiting(lambda: epoch)
                firer.fire_due(lambda: epoch, now=storage.now())
                self._butler.pusher.withdraw(storage.expire(epoch=epoch, limit=MAX_BATCH))
                self._butler.pusher.push(storage.stage(epoch=epoch, limit=MAX_BATCH))
                watchman.step(epoch=epoch)
                parks.settle(storage, parks.page(0, MAX_BATCH))
            except ButlerError as error:
                log_event(logger, logging.WARNING, "stager.failed", error=error)
        watchman.stand_down()
        storage.resign_leadership(self._id, epoch=epoch)
