"""What the leading scheduler asks: leadership itself, what is due, what is queued.

``stage`` keeps a floor: the moment up to which an earlier call has read the due index to its end.
Entries below it are dead ones, which stay as long as the oldest open transaction and would be read
again at each call (299,000 of them: 38 ms against 0.6). A transaction that commits late may still
bring a row below the floor. It is heard of by a notice, which says how far the floor must come
down for one look (``hear``); and because notices are only a help, the floor is left out every
`_WHOLE_LOOK_EVERY_S`.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from butler.storage.postgres import literals, rows
from butler.storage.records import Leadership

if TYPE_CHECKING:
    from datetime import datetime

    from butler.storage.postgres.connections import PostgresConnections
    from butler.storage.records import QueueEntry

_WHOLE_LOOK_EVERY_S = 1.0


class PostgresLeader:
    """The scheduler's statements on one ledger."""

    def __init__(self, connections: PostgresConnections) -> None:
        self._connections = connections
        self._floor: datetime | None = None
        self._whole_look_at = float("-inf")
        # Guards what notices bring, from another thread.
        self._lock = threading.Lock()
        self._heard: datetime | None = None

    def leadership(self) -> Leadership:
        """Who leads now."""
        ((holder, epoch, counter),) = self._connections.run("leadership")
        return Leadership(holder=holder, epoch=epoch, counter=counter)

    def take(self, holder: str, *, observed: Leadership) -> int | None:
        """Lead if nothing moved since ``observed``; the new epoch."""
        params = {
            "holder": holder,
            "observed_holder": observed.holder,
            "observed_epoch": str(observed.epoch),
            "observed_counter": str(observed.counter),
        }
        for (epoch,) in self._connections.run("take_leadership", params):
            return int(epoch)
        # Nobody else becomes this holder in this epoch: the reply to an earlier try was lost.
        now = self.leadership()
        mine = now.holder == holder != observed.holder and now.epoch == observed.epoch + 1
        return now.epoch if mine else None

    def renew(self, holder: str, *, epoch: int) -> bool:
        """Raise the leader's counter; False when somebody else leads."""
        params = {"holder": holder, "epoch": str(epoch)}
        return bool(self._connections.run("renew_leadership", params))

    def resign(self, holder: str, *, epoch: int) -> None:
        """Leave the place empty, if it is still held."""
        self._connections.run("resign_leadership", {"holder": holder, "epoch": str(epoch)})

    def stage(self, *, epoch: int, limit: int) -> list[QueueEntry]:
        """Move due executions to queued, oldest first."""
        now_s = time.monotonic()
        # Taken before the look: what is heard during it is for the next one.
        with self._lock:
            floor = self._floor_at(now_s)
            self._heard = None
        params = {
            "epoch": str(epoch),
            "limit": str(limit),
            "floor": None if floor is None else floor.isoformat(),
        }
        found = self._connections.run("stage", params, hot=True)
        entries = [rows.entry(row[2:], fair_key=row[9]) for row in found if row[2] is not None]
        leads, moment = found[0][:2]
        if leads and len(entries) < limit:
            self._floor = moment
            if floor is None:
                self._whole_look_at = now_s
        elif floor is not None:
            self.hear(floor)
        return entries

    def expire(self, *, epoch: int, limit: int) -> list[QueueEntry]:
        """Cancel what waits and is past its ``expires_at``, the latest last."""
        params = {"epoch": str(epoch), "limit": str(limit)}
        return [rows.entry(row, fair_key=row[7]) for row in self._connections.run("expire", params)]

    def hear(self, due_at: datetime) -> None:
        """Executions were committed that are due at this time or later; from any thread."""
        with self._lock:
            self._heard = due_at if self._heard is None else min(self._heard, due_at)

    def next_due_in_s(self) -> float | None:
        """Seconds until the next scheduled or retrying execution is due (<= 0: now)."""
        with self._lock:
            floor = self._floor_at(time.monotonic())
        params = {"floor": None if floor is None else floor.isoformat()}
        for (seconds,) in self._connections.run("next_due", params, hot=True):
            return float(seconds)
        return None

    def queued(
        self, *, min_age_s: float, after: tuple[datetime, str] | None, limit: int
    ) -> list[tuple[datetime, QueueEntry]]:
        """Executions queued for at least ``min_age_s``, in (queued_at, id) order."""
        params = {
            "min_age_s": repr(min_age_s),
            "after_at": None if after is None else after[0].isoformat(),
            "after_id": after[1] if after is not None and literals.is_uuid(after[1]) else None,
            "limit": str(limit),
        }
        found = self._connections.run("queued", params)
        return [(rows.in_utc(row[7]), rows.entry(row, fair_key=row[8])) for row in found]

    def _floor_at(self, now_s: float) -> datetime | None:
        fresh = now_s - self._whole_look_at < _WHOLE_LOOK_EVERY_S
        if not fresh or self._floor is None:
            return None
        return self._floor if self._heard is None else min(self._floor, self._heard)
