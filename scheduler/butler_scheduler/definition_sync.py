"""Bringing the recurring jobs that an application's code declares to the ledger, once at start."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar

from butler.clock import SYSTEM_CLOCK
from butler.errors import ButlerError, StorageUnavailable
from butler.log import log_event
from butler_scheduler.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from butler.clock import Clock
    from butler.recurring.declaring import SyncReport

logger = logging.getLogger(__name__)

LOOK_AGAIN_S = 3600.0


class DefinitionSync(Service):
    """Syncs once, as soon as the ledger answers; leading or not, for each release syncs its own.

    A declaration that does not fit its task is reported and keeps nothing else from running.
    """

    name: ClassVar[str] = "definition sync"

    def __init__(self, sync: Callable[[], SyncReport], *, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(clock=clock)
        self._sync = sync
        self._done = False

    def tick(self, now: float) -> float:  # noqa: ARG002 - it is done once, whenever that is
        """Sync, if that has not been done."""
        if not self._done:
            try:
                _log(self._sync())
            except StorageUnavailable:
                raise
            except ButlerError as error:
                log_event(logger, logging.ERROR, "recurring.sync_failed", error=error)
            self._done = True
        return LOOK_AGAIN_S


def _log(report: SyncReport) -> None:
    if report.changed:
        log_event(
            logger,
            logging.INFO,
            "recurring.synced",
            source=report.source,
            created=len(report.created),
            updated=len(report.updated),
            deleted=len(report.deleted),
        )
    for name in report.conflicts:
        log_event(logger, logging.ERROR, "recurring.conflict", job=name, source=report.source)
