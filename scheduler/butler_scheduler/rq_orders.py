"""What people and RQ's workers said on RQ's side, told to the ledger.

Two things are said there that the ledger would not hear otherwise:

- *Cancel.* ``job.cancel()`` takes an id off its list and puts it into ``rq:canceled:<list>``,
  scored by when that was; our own cancellations are scored by when they expire, a day ahead. So
  what stands there with a time that has passed, and is this ledger's, is an order. It is carried
  out like an operator's cancel, and its score is moved a day ahead.
- *The end of a work-horse.* A plain ``rq worker`` that runs one of our executions in a work-horse
  knows at once when that dies, and writes ``stopped`` (somebody sent stop-job) or ``failed`` into
  the hash. The guest that ran in it has left its name in ``butler:guests``; it is given up here,
  instead of a lease later. Stopped means cancelled, the rest is a crash.

Delete and empty say nothing to the ledger: what is queued is pushed again by the reconciler.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import time
import zlib
from base64 import b64decode
from typing import TYPE_CHECKING, Any, ClassVar

from butler import lifecycle
from butler.clock import SYSTEM_CLOCK
from butler.executions import ExecutionStatus
from butler.ids import is_id
from butler.log import log_event
from butler.queues import CANCELED_TTL_S, WireKeys, as_text, wire_errors
from butler_scheduler.rq_lists import lists_of_ledger
from butler_scheduler.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from butler.clock import Clock
    from butler.queues import QueueWire
    from butler.recovery import Recovery
    from butler.storage.base import Storage
    from butler.storage.records import Moved
    from butler_scheduler.leader import Leader

    End = Callable[[str], object]

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
PAGE = 500
# The clocks of those who cancel may differ from this one's by so much.
CLOCKS_DIFFER_S = 600
GUEST_LOOK_EVERY_S = 60.0

_HORSE_ENDED = re.compile(r"Work-horse terminated unexpectedly; waitpid returned (-?\d+)")


class RqOrders(Service):
    """Carries out what was said on RQ's side; acts only while leading."""

    name: ClassVar[str] = "rq orders"

    def __init__(
        self,
        storage: Storage,
        *,
        wire: QueueWire,
        recovery: Recovery,
        leader: Leader,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(clock=clock)
        self._storage = storage
        self._wire = wire
        self._redis = wire.redis
        self._recovery = recovery
        self._leader = leader
        self._epoch: int | None = None
        self._seen: dict[str, float] = {}
        self._guests_checked_at = 0.0
        self._doubtful: set[str] = set()

    def tick(self, now: float) -> float:
        """Look at what was cancelled and at what became of guests."""
        epoch = self._leader.epoch()
        if epoch is None:
            return LOOK_EVERY_S
        began_to_lead = epoch != self._epoch
        if began_to_lead:
            self._seen = {}
        for name in lists_of_ledger(self._redis, self._wire.ledger_id):
            self._hear_cancels(name, everything=began_to_lead)
        self._epoch = epoch
        self._look_at_guests(now)
        return LOOK_EVERY_S

    def _hear_cancels(self, name: str, *, everything: bool) -> None:
        wall = time.time()
        key, oldest = WireKeys.registry("canceled", name), wall - CLOCKS_DIFFER_S
        self._seen = {id_: at for id_, at in self._seen.items() if at >= oldest}
        first = 0
        while not self.stopping:
            with wire_errors("look at cancelled jobs"):
                page: Any = self._redis.zrevrangebyscore(
                    key,
                    wall + CLOCKS_DIFFER_S,
                    0 if everything else oldest,
                    start=first,
                    num=PAGE,
                    withscores=True,
                )
            found = [(as_text(raw), score) for raw, score in page]
            new = [id_ for id_, score in found if self._seen.get(id_) != score and is_id(id_)]
            carried_out = self._carry_out(name, new)
            if carried_out is None:
                return
            self._seen.update(found)
            # Newest first: behind a page of which all were seen stand only such as were seen too.
            if len(page) < PAGE or not (new or everything):
                return
            first += PAGE - carried_out

    def _carry_out(self, name: str, ids: list[str]) -> int | None:
        """Cancel those that are ours; returns how many have left the scores looked at.

        None when nothing could be done, because the lease has run out; it may be renewed yet.
        """
        if not ids:
            return 0
        with wire_errors("look at cancelled jobs"), self._redis.pipeline(transaction=False) as pipe:
            for id_ in ids:
                pipe.hmget(WireKeys.job(id_), ["ledger", "status"])
            answers = pipe.execute()
        ours = [
            id_
            for id_, (ledger, status) in zip(ids, answers, strict=True)
            if ledger is not None
            and as_text(ledger) == self._wire.ledger_id
            and as_text(status or b"") == "canceled"
        ]
        if not ours:
            return 0
        if self._leader.epoch() is None:
            return None
        moved = self._storage.cancel(ours)
        self._tell_wire(name, moved)
        changed = sum(1 for move in moved if move.changed)
        if changed:
            log_event(logger, logging.INFO, "rq_orders.cancelled", count=changed, list=name)
        return len(moved)

    def _tell_wire(self, name: str, moved: list[Moved]) -> None:
        over = [m.entry for m in moved if m.entry and m.after is ExecutionStatus.CANCELLED]
        self._wire.withdraw(over)
        with wire_errors("answer to a cancel"), self._redis.pipeline(transaction=False) as pipe:
            expiry = int(time.time()) + CANCELED_TTL_S
            for move in moved:
                pipe.zadd(WireKeys.registry("canceled", name), {move.id: expiry}, xx=True)
                pipe.expire(WireKeys.job(move.id), CANCELED_TTL_S)
            pipe.execute()
        for move in moved:
            if move.changed and move.worker_name and move.after is ExecutionStatus.RUNNING:
                self._wire.request_stop(move.id, move.worker_name)

    def _look_at_guests(self, now: float) -> None:
        with wire_errors("look at guests"):
            raw = self._redis.hgetall(WireKeys.guests)
        guests = {as_text(worker_id): as_text(id_) for worker_id, id_ in raw.items()}
        if not guests:
            return
        with wire_errors("look at guests"), self._redis.pipeline(transaction=False) as pipe:
            for id_ in guests.values():
                pipe.hget(WireKeys.job(id_), "status")
            statuses = pipe.execute()
        for (worker_id, id_), status in zip(guests.items(), statuses, strict=True):
            match as_text(status or b""):
                case "stopped":
                    self._storage.cancel([id_])
                    # As somebody told it to: it is not lost.
                    self._end_guest(
                        worker_id,
                        id_,
                        "stopped",
                        lambda worker_id: self._recovery.dismiss(worker_id, lifecycle.cancel),
                    )
                case "failed":
                    self._end_crashed(worker_id, id_)
        if now - self._guests_checked_at >= GUEST_LOOK_EVERY_S:
            self._guests_checked_at = now
            self._forget_gone(set(guests))

    def _end_crashed(self, worker_id: str, execution_id: str) -> None:
        cause = self._cause_of_death(execution_id)
        # RQ's maintenance also calls failed what only looks abandoned; that may well be alive.
        if cause is not None:
            self._end_guest(
                worker_id,
                execution_id,
                cause,
                lambda worker_id: self._recovery.recover(
                    worker_id, lambda attempt: lifecycle.crash(attempt, cause=cause)
                ),
            )

    def _end_guest(self, worker_id: str, execution_id: str, verdict: str, end: End) -> None:
        if self._leader.epoch() is None:
            return
        with wire_errors("farewell to a guest"):
            # Not to be given back: recovery pushes it if it is to run again.
            self._redis.srem(WireKeys.hand(worker_id), execution_id)
        end(worker_id)
        with wire_errors("farewell to a guest"):
            self._redis.hdel(WireKeys.guests, worker_id)
        log_event(logger, logging.INFO, "rq_orders.guest_ended", id=execution_id, verdict=verdict)

    def _cause_of_death(self, execution_id: str) -> str | None:
        with wire_errors("look at a result"):
            found: Any = self._redis.xrevrange(WireKeys.results(execution_id), count=1)
        if not found:
            return None
        packed = {as_text(key): as_text(value) for key, value in found[0][1].items()}
        try:
            text = zlib.decompress(b64decode(packed.get("exc_string", ""))).decode()
        except (ValueError, zlib.error):
            return None
        match = _HORSE_ENDED.match(text)
        return None if match is None else _describe_wait_status(int(match[1]))

    def _forget_gone(self, guests: set[str]) -> None:
        """Guests whose worker was not alive at two looks: whoever gave it up did not know of us."""
        alive = {p.id for p in self._storage.pulses() if not p.lost and not p.stopped}
        gone = guests - alive
        for worker_id in gone & self._doubtful:
            with wire_errors("farewell to a guest"):
                self._redis.hdel(WireKeys.guests, worker_id)
        self._doubtful = gone


def _describe_wait_status(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"killed by signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"killed by signal {-code}"
