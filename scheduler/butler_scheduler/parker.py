"""The parker: wakes what waits for a rate when its time has come, and what a lost release forgot.

Ten times a second at most it looks whether a park of a rate is due; once a second it asks the
ledger about the eldest id of each park (a thousand parks a look), because whoever should have
released a slot may have died between the ledger and Redis. It also keeps the mirror of paused
queues right, and puts what comes next on a list that plain RQ workers have emptied while executions
wait their turn beside it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

from butler.clock import SYSTEM_CLOCK
from butler.limiting import QUEUE_PREFIX, STEP_S
from butler.parks import Parks
from butler.storage.base import MAX_BATCH
from butler.turns import Turns
from butler_scheduler.rq_lists import lists_of_ledger
from butler_scheduler.service import Service

if TYPE_CHECKING:
    from redis import Redis

    from butler.clock import Clock
    from butler.storage.base import Storage
    from butler_scheduler.leader import Leader

ROUND_EVERY_S = 1.0
SHORTEST_S = 0.01


class Parker(Service):
    """Wakes parked executions; acts only while leading."""

    name: ClassVar[str] = "parker"

    def __init__(
        self, storage: Storage, redis: Redis, *, leader: Leader, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        super().__init__(clock=clock)
        self._storage = storage
        self._redis = redis
        self._parks = Parks(redis)
        self._turns = Turns(redis)
        self._leader = leader
        self._round_due = 0.0
        self._start = 0

    def tick(self, now: float) -> float:
        """Wake what is due; returns how long nothing will be, at most a tenth of a second."""
        if self._leader.epoch() is None:
            return STEP_S
        due = self._parks.due(limit=MAX_BATCH)
        if due:
            self._parks.settle(self._storage, due)
        if now >= self._round_due:
            self._round_due = now + ROUND_EVERY_S
            self._look_round()
        next_at = self._parks.next_due_at()
        left_s = STEP_S if next_at is None else next_at - time.time()
        return max(SHORTEST_S, min(STEP_S, left_s))

    def _look_round(self) -> None:
        paused = {
            row.name.removeprefix(QUEUE_PREFIX)
            for row in self._storage.limits()
            if row.paused_at is not None
        }
        if paused != self._parks.shown_paused():
            self._parks.show_paused(sorted(paused))
        self._turns.lay(lists_of_ledger(self._redis, self._storage.ledger_id()))
        parks = self._parks.page(self._start, MAX_BATCH)
        self._start = self._start + MAX_BATCH if len(parks) == MAX_BATCH else 0
        if parks:
            self._parks.settle(self._storage, parks)
