"""Keeps RQ's registries of this ledger's lists as short as they should be.

Hashes expire by themselves: finished ones after a minute, failed and cancelled ones after a day.
Their ids stand on in the registries until somebody looks; RQ's own tools do, where there are any,
except for the cancelled, which RQ never removes. What RQ would keep is kept: of the plain jobs that
share a list only what RQ calls expired goes.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, ClassVar

from butler.clock import SYSTEM_CLOCK
from butler.log import log_event
from butler.queues import WireKeys, as_text, wire_errors
from butler_scheduler.rq_lists import lists_of_ledger
from butler_scheduler.service import Service

if TYPE_CHECKING:
    from butler.clock import Clock
    from butler.queues import QueueWire
    from butler_scheduler.leader import Leader

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 30.0
BEHIND_S = 0.1
PAGE = 1_000
# RQ's maintenance decides about its own abandoned jobs first.
ABANDONED_S = 60


class RqRegistries(Service):
    """Removes what has expired, a page a registry at a time; acts only while leading."""

    name: ClassVar[str] = "rq registries"

    def __init__(self, *, wire: QueueWire, leader: Leader, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(clock=clock)
        self._redis = wire.redis
        self._ledger_id = wire.ledger_id
        self._leader = leader

    def tick(self, now: float) -> float:  # noqa: ARG002 - registries are scored by wall time
        """Look at each registry once; soon again where a page was not enough."""
        if self._leader.epoch() is None:
            return LOOK_EVERY_S
        removed, full = 0, False
        for name in lists_of_ledger(self._redis, self._ledger_id):
            for kind in ("finished", "failed", "canceled", "wip"):
                if self.stopping:
                    return LOOK_EVERY_S
                looked, gone = self._trim(kind, name)
                removed, full = removed + gone, full or looked == PAGE == gone
        if removed:
            log_event(logger, logging.DEBUG, "rq_registries.trimmed", count=removed)
        return BEHIND_S if full else LOOK_EVERY_S

    def _trim(self, kind: str, name: str) -> tuple[int, int]:
        """How many expired members were looked at, and how many of them removed."""
        key = WireKeys.registry(kind, name)
        until = time.time() - (ABANDONED_S if kind == "wip" else 0)
        with wire_errors("look at a registry"):
            raw: Any = self._redis.zrangebyscore(key, 0, until, start=0, num=PAGE)
        members = [as_text(member) for member in raw]
        gone = members if kind in ("finished", "failed") else self._without_owner(kind, members)
        if gone:
            with wire_errors("trimming of a registry"):
                self._redis.zrem(key, *gone)
        return len(members), len(gone)

    def _without_owner(self, kind: str, members: list[str]) -> list[str]:
        """Those without a hash; of wip also ours, which RQ must not call abandoned."""
        if not members:
            return []
        ids = [member.partition(":")[0] for member in members]
        with wire_errors("look at the hashes"), self._redis.pipeline(transaction=False) as pipe:
            for id_ in ids:
                pipe.hmget(WireKeys.job(id_), ["status", "ledger"])
            answers = pipe.execute()
        return [
            member
            for member, (status, ledger) in zip(members, answers, strict=True)
            if status is None
            or (kind == "wip" and ledger is not None and as_text(ledger) == self._ledger_id)
        ]
