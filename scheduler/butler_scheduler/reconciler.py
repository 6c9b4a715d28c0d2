"""The reconciler: what the ledger says is queued and nobody holds is pushed again (G1).

An id is held if it is in a queue list or in a worker's hand. Redis may lose any of it: a push that
never arrived, a server that was wiped, failed over or restored from an old file. Three looks:

- Each second, rows that have just become five seconds old, by a cursor that follows the newest of
  them. A push that failed is found within six seconds, however long the backlog is.
- Each second, one page of all rows older than that, by a second cursor going round and round.
  These two ask a cheap question: does a hash say queued? A hash that is missing, says something
  else or will expire proves that the id is not held (unless a hand has it, which is asked too).
- The whole comparison, lists and hands against rows, when Redis is not the one it was (its run id
  or ``butler:epoch`` changed), when a scheduler begins to lead, and every ten minutes. After a
  change it is repeated once the rows that were too young have come of age.

Rows younger than two seconds are left alone: their producer is about to push them. Pushing an id
that is held after all costs one refused claim and does no harm.

Rejected: comparing everything always. A million waiting rows would cost half a minute of each.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar

from butler.clock import SYSTEM_CLOCK
from butler.ids import new_token
from butler.log import log_event
from butler.queues import WireKeys, as_text, load_script, wire_errors
from butler.storage.base import MAX_BATCH
from butler_scheduler.held import HeldIds, read_held
from butler_scheduler.service import Service

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from butler.clock import Clock
    from butler.hands import Hands
    from butler.queues import QueueWire
    from butler.storage.base import Storage
    from butler.storage.records import QueueEntry
    from butler_scheduler.leader import Leader

    Cursor = tuple[datetime, str] | None

logger = logging.getLogger(__name__)

PERIOD_S = 1.0
BEHIND_S = 0.05
CHEAP_MIN_AGE_S = 5.0
YOUNG_S = 2.0
FULL_EVERY_S = 600.0
# Rows are paged through psycopg at some 20 µs each: this bounds what a second's looks may cost.
FRESH_PAGES = 5


class Reconciler(Service):
    """Pushes queued executions that the wire has lost; acts only while leading."""

    name: ClassVar[str] = "reconciler"

    def __init__(
        self,
        storage: Storage,
        *,
        wire: QueueWire,
        hands: Hands,
        leader: Leader,
        page: int = MAX_BATCH,
        full_every_s: float = FULL_EVERY_S,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(clock=clock)
        self._storage = storage
        self._wire = wire
        self._hands = hands
        self._leader = leader
        self._page = page
        self._full_every_s = full_every_s
        self._unheld = load_script(wire.redis, "unheld")
        self._epoch: int | None = None
        self._server: tuple[str, str] | None = None
        self._full_due = 0.0
        self._fresh: Cursor = None
        self._sweep: Cursor = None
        self._pushed = 0

    def tick(self, now: float) -> float:
        """Compare a little, or everything where there is a reason to."""
        epoch = self._leader.epoch()
        if epoch is None:
            return PERIOD_S
        server = self._read_server()
        began_to_lead, changed = epoch != self._epoch, server != self._server
        if began_to_lead or changed or now >= self._full_due:
            if not self._compare_all():
                return PERIOD_S
            # Noted only now: a comparison that ended half-way is done again.
            self._full_due = now + (
                self._full_every_s if began_to_lead or not changed else YOUNG_S + PERIOD_S / 2
            )
            self._epoch, self._server = epoch, server
        elif self._compare_some():
            return BEHIND_S
        return PERIOD_S

    def _read_server(self) -> tuple[str, str]:
        """What tells this Redis, with its data, from another: ``butler:epoch`` and the run id."""
        import redis

        client = self._wire.redis
        with wire_errors("look at the server"):
            client.set(WireKeys.epoch, new_token(), nx=True)
            epoch = client.get(WireKeys.epoch)
            try:
                run_id = str(client.info("server").get("run_id"))
            except redis.ResponseError:
                # INFO may be forbidden to this user; the epoch still tells a wiped server.
                run_id = "unknown"
        return as_text(epoch or b""), run_id

    def _compare_some(self) -> bool:
        """Look at some rows; True when many were lost, so that there is more to find at once."""
        pushed = self._pushed
        self._fresh, caught_up = self._check(self._fresh, pages=FRESH_PAGES)
        behind = not caught_up and self._pushed > pushed
        self._sweep, round_is_over = self._check(self._sweep, pages=1)
        if round_is_over:
            self._sweep = None
        return behind

    def _check(self, cursor: Cursor, *, pages: int) -> tuple[Cursor, bool]:
        """Check pages after a cursor by their hashes; returns where it ended, and if at the end."""
        for _ in range(pages):
            rows = self._storage.queued(min_age_s=CHEAP_MIN_AGE_S, after=cursor, limit=self._page)
            entries = [entry for _, entry in rows]
            if not self._push_lost(self._without_hash(entries), found_by="hash"):
                return cursor, False
            if rows:
                cursor = rows[-1][0], rows[-1][1].id
            if len(rows) < self._page:
                return cursor, True
        return cursor, False

    def _without_hash(self, entries: Sequence[QueueEntry]) -> list[QueueEntry]:
        if not entries:
            return []
        with wire_errors("look at the hashes"):
            positions = self._unheld(keys=[WireKeys.job(entry.id) for entry in entries])
        return [entries[position - 1] for position in positions]

    def _compare_all(self) -> bool:
        """Push every row that no list and no hand holds; False when it ended before its end."""
        began = self._clock.monotonic()
        held = read_held(self._wire.redis, self._hands)
        cursor: Cursor = None
        compared = lost = 0
        while not self.stopping:
            # Rows queued after the lists were read can be in none of them.
            young_s = YOUNG_S + self._clock.monotonic() - began
            rows = self._storage.queued(min_age_s=young_s, after=cursor, limit=self._page)
            missing = [entry for _, entry in rows if entry.id not in held]
            if not self._push_lost(missing, found_by="comparison"):
                return False
            compared, lost = compared + len(rows), lost + len(missing)
            if rows:
                cursor = rows[-1][0], rows[-1][1].id
            if len(rows) < self._page:
                break
        self._fresh = cursor
        self._log_comparison(held, compared=compared, lost=lost, began=began)
        return not self.stopping

    def _log_comparison(self, held: HeldIds, *, compared: int, lost: int, began: float) -> None:
        log_event(
            logger,
            logging.INFO,
            "reconciler.compared",
            queued=compared,
            held=len(held),
            lost=lost,
            took_s=round(self._clock.monotonic() - began, 3),
        )

    def _push_lost(self, entries: Sequence[QueueEntry], *, found_by: str) -> bool:
        """Push what no hand has; False when this scheduler does not lead any more."""
        if self._leader.epoch() is None:
            return False
        in_hands = self._in_hands([entry.id for entry in entries])
        lost = [entry for entry in entries if entry.id not in in_hands]
        if lost:
            pushed = self._wire.push(lost)
            self._pushed += pushed
            log_event(
                logger, logging.WARNING, "reconciler.pushed_again", count=pushed, found_by=found_by
            )
        return True

    def _in_hands(self, ids: Sequence[str]) -> set[str]:
        if not ids:
            return set()
        workers, found = self._hands.workers(), set[str]()
        with wire_errors("look at the hands"), self._wire.redis.pipeline(transaction=False) as pipe:
            for worker_id in workers:
                pipe.smismember(WireKeys.hand(worker_id), list(ids))
            for answers in pipe.execute():
                found.update(id_ for id_, there in zip(ids, answers, strict=True) if there)
        return found
