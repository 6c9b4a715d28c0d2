"""The pruner: what is over its retention is removed, a small batch at a time.

It walks the executions in the order of their creation with a cursor that stays behind the end of
the retention, so that it touches each row about once; what had not ended by then, or is kept for
longer, is looked at again when it starts over, once an hour. Between two batches it rests for as
long as the last one took: at most half a connection, and half a core of Postgres, are ever its own.

Redis is not trimmed here: what finished lives there for a minute, and each settling removes what is
one too many (`settle.lua`).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar

from butler.clock import SYSTEM_CLOCK
from butler.log import log_event
from butler.storage.base import MAX_BATCH
from butler_scheduler.service import Service

if TYPE_CHECKING:
    from butler.clock import Clock
    from butler.storage.base import Storage
    from butler_scheduler.leader import Leader

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
ASK_TASKS_EVERY_S = 60.0
START_OVER_EVERY_S = 3600.0
REST_AT_LEAST_S = 0.005


class Pruner(Service):
    """Removes what is over its retention, of each kind; acts only while leading."""

    name: ClassVar[str] = "pruner"

    def __init__(
        self,
        storage: Storage,
        *,
        leader: Leader,
        batch: int = MAX_BATCH,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(clock=clock)
        self._storage = storage
        self._leader = leader
        self._batch = batch
        self._cursor: str | None = None
        self._tasks: dict[str, float] = {}
        self._ask_tasks_at = float("-inf")
        self._start_over_at = float("-inf")
        self._removed = 0
        self._limits_left = False

    def tick(self, now: float) -> float:
        """Remove one batch of each kind; rests in between, and longer when nothing is left."""
        epoch = self._leader.epoch()
        if epoch is None:
            return LOOK_EVERY_S
        if now >= self._start_over_at:
            self._cursor = None
            self._start_over_at = now + START_OVER_EVERY_S
            self._storage.prune_workers(epoch=epoch)
            self._storage.prune_access(epoch=epoch)
            self._storage.prune_alerts(epoch=epoch)
            self._limits_left = True
        page = self._storage.prune_executions(
            epoch=epoch, after=self._cursor, limit=self._batch, tasks=self._retention_of_tasks(now)
        )
        self._cursor = page.last
        fires = self._storage.prune_fires(epoch=epoch, limit=self._batch)
        limits = self._prune_limits(epoch)
        self._removed += page.removed + fires + limits
        if page.more or fires == self._batch or self._limits_left:
            return max(self._clock.monotonic() - now, REST_AT_LEAST_S)
        if self._removed:
            log_event(logger, logging.INFO, "pruner.removed", rows=self._removed)
            self._removed = 0
        return LOOK_EVERY_S

    def _prune_limits(self, epoch: int) -> int:
        """A batch of limits' names that nobody needs, until there are none."""
        if not self._limits_left:
            return 0
        removed = self._storage.prune_limits(epoch=epoch, limit=self._batch)
        self._limits_left = removed == self._batch
        return removed

    def _retention_of_tasks(self, now: float) -> dict[str, float]:
        """How many days tasks say of themselves, as their workers announced them."""
        if now >= self._ask_tasks_at:
            said = {
                d.name: d.options.get("retention_days") for d in self._storage.task_definitions()
            }
            self._tasks = {name: days for name, days in said.items() if days is not None}
            self._ask_tasks_at = now + ASK_TASKS_EVERY_S
        return self._tasks
