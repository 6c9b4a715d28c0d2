"""The folder: adds up what finished batches counted, packs old minutes, forgets what is too old.

Reads are exact without it (they add what is not folded yet), only slower as deltas gather. So it
may rest for some seconds, which lets one fold take many deltas of the same task. Packing takes a
few tasks at a time: those of an hour are few steps an hour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from butler.clock import SYSTEM_CLOCK
from butler_scheduler.service import Service

if TYPE_CHECKING:
    from butler.clock import Clock
    from butler.storage.base import Storage
    from butler_scheduler.leader import Leader

FOLD_EVERY_S = 5.0
FOLD_AT_ONCE = 20_000
PRUNE_AT_ONCE = 2_000
PRUNE_EVERY_S = 60.0
PACK_AT_ONCE = 20
REST_AT_LEAST_S = 0.005


class Folder(Service):
    """Keeps statistics small and bounded; acts only while leading."""

    name: ClassVar[str] = "folder"

    def __init__(
        self,
        storage: Storage,
        *,
        leader: Leader,
        batch: int = FOLD_AT_ONCE,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(clock=clock)
        self._storage = storage
        self._leader = leader
        self._batch = batch
        self._prune_at = float("-inf")
        self._pack_at = float("-inf")

    def tick(self, now: float) -> float:
        """Fold one batch, now and then pack and remove one; rests as long as a full one took."""
        epoch = self._leader.epoch()
        if epoch is None:
            return FOLD_EVERY_S
        full = self._storage.fold_stats(epoch=epoch, limit=self._batch) >= self._batch
        if now >= self._prune_at:
            limit = min(self._batch, PRUNE_AT_ONCE)
            removed = self._storage.prune_stats(epoch=epoch, limit=limit)
            self._prune_at = now + (PRUNE_EVERY_S if removed < limit else FOLD_EVERY_S)
        if now >= self._pack_at:
            packed = self._storage.pack_stats(epoch=epoch, limit=PACK_AT_ONCE)
            self._pack_at = now + (FOLD_EVERY_S if packed else PRUNE_EVERY_S)
        return max(self._clock.monotonic() - now, REST_AT_LEAST_S) if full else FOLD_EVERY_S
