"""A worker's hand: the ids it has popped and not yet settled.

A pop moves ids from their lists into a Redis set of the worker's, in one script, so that at every
instant an id is in a list or in a hand. A worker that dies leaves its hand behind; whoever finds
the worker dead puts the hand back (`Hands.give_back_all`). RQ pops by plain LPOP when it serves
two queues or more: a worker killed between the pop and its next write loses the job for good.

Started-side keys (wip, execution, worker_name) are written only for attempts that have lasted a
while: a job of a millisecond goes from queued to finished, and nobody could have seen it run.
"""

from __future__ import annotations

import time
import zlib
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from butler.executions import ExecutionStatus
from butler.queues import (
    FAILED_TTL_S,
    WireKeys,
    as_text,
    list_name,
    list_names,
    load_script,
    rq_time,
    wire_errors,
)
from butler.record import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from redis import Redis

    from butler.executions import ErrorRecord, Priority

FINISHED_TTL_S = 60
FINISHED_KEPT = 1_000
ANNOUNCED_TTL_S = 90
POP_MEMORY_S = 60


# What RQ's tools call a state in which no worker holds the execution and no list has it.
RQ_STATUS = {
    ExecutionStatus.SUCCEEDED: "finished",
    ExecutionStatus.FAILED: "failed",
    ExecutionStatus.CANCELLED: "canceled",
    ExecutionStatus.SCHEDULED: "scheduled",
    ExecutionStatus.RETRYING: "scheduled",
}


class OnWire(Protocol):
    """What says where an attempt is on the wire: a claim, a queue's entry, an announcement."""

    @property
    def id(self) -> str:
        """The execution's."""
        ...

    @property
    def attempt(self) -> int:
        """Its number."""
        ...

    @property
    def queue(self) -> str:
        """With the priority, its list."""
        ...

    @property
    def priority(self) -> Priority:
        """With the queue, its list."""
        ...


@record(frozen=True, slots=True)
class Settled:
    """How an attempt ended, in RQ's words: finished, failed, canceled or scheduled."""

    id: str
    attempt: int
    queue: str
    priority: Priority
    status: str
    error: str = ""

    @classmethod
    def of(cls, attempt: OnWire, status: ExecutionStatus, error: ErrorRecord | None) -> Self:
        """An attempt whose end left its execution in this state, one of `RQ_STATUS`."""
        shown = (error.traceback or f"{error.type}: {error.message}") if error else ""
        word = RQ_STATUS[status]
        return cls(attempt.id, attempt.attempt, attempt.queue, attempt.priority, word, shown)


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """An attempt that has run long enough to be shown as running."""

    id: str
    attempt: int
    queue: str
    priority: Priority
    started_at: datetime


class Hand:
    """One worker's hand, and what it tells RQ's tools about the ids in it.

    ``queues`` are drained in the order given, each queue's priorities from high to low. Methods
    raise `QueueUnavailable` when Redis does not answer.
    """

    def __init__(
        self, redis: Redis, *, worker_id: str, worker_name: str, queues: Sequence[str] = ()
    ) -> None:
        self.redis = redis
        self.worker_id = worker_id
        self.worker_name = worker_name
        self.lists = tuple(name for queue in queues for name in list_names(queue))
        self.call_key = WireKeys.call(worker_id)
        self._pop_keys = [
            WireKeys.suspended,
            WireKeys.hand(worker_id),
            WireKeys.popped(worker_id),
            WireKeys.paused,
            WireKeys.seat(worker_id),
            WireKeys.offer(worker_id),
            self.call_key,
        ]
        self._seats = [WireKeys.seats(queue) for queue in queues]
        self._pop = load_script(redis, "pop")
        self._pick = load_script(redis, "pick")
        self._settle = load_script(redis, "settle")
        self._announce = load_script(redis, "announce")
        self._doomed: list[str] = []

    def open(self) -> None:
        """Make the hand known, so that it is found when this worker is not."""
        with wire_errors("registration"):
            self.redis.sadd(WireKeys.hands, self.worker_id)

    def close(self) -> None:
        """Forget the hand. What is still in it goes back: nobody would look for it any more."""
        Hands(self.redis).give_back_all(self.worker_id)

    def pop(
        self,
        limit: int,
        *,
        token: str,
        lists: Sequence[str] | None = None,
        sit_s: float = 0,
        received: str = "",
    ) -> list[tuple[str, str]]:
        """Take up to ``limit`` ids, as (id, list name); the same token gives the same answer.

        ``lists`` are some of this hand's lists, in their order; by default all. Where there is
        nothing, a push within the next ``sit_s`` seconds may put one id into this hand and call it
        (`read_call`). Offers end here: one that did not arrive, so that its seat is not
        ``received``, is popped like others.
        """
        names = self.lists if lists is None else lists
        keys = [*self._pop_keys]
        for name in names:
            keys += (WireKeys.list(name), WireKeys.turns(name), WireKeys.waiting(name))
        keys += self._seats
        args: list[str | int] = [token, limit, POP_MEMORY_S]
        args += (received, int(sit_s * 1000), len(self._seats))
        with wire_errors("pop"):
            reply = self._pop(keys=keys, args=args)
        return [(as_text(raw), name) for name, ids in zip(names, reply, strict=True) for raw in ids]

    def read_call(self, raw: bytes | str) -> tuple[str, str, str] | None:
        """What lay on ``call_key``, as (seat, id, list name); None for a call without an offer."""
        seat, _, offered = as_text(raw).partition(" ")
        if not offered:
            return None
        execution_id, _, key = offered.partition(" ")
        return seat, execution_id, key.removeprefix(WireKeys.list(""))

    def pick(self, ids: Sequence[str], *, name: str, from_tail: bool = False) -> list[str]:
        """Take these ids off a list, wherever they stand; returns which are in the hand now.

        To be repeated with the same ids when it raises. ``from_tail`` looks for them from there.
        """
        keys = [WireKeys.suspended, WireKeys.hand(self.worker_id), WireKeys.list(name)]
        with wire_errors("pick"):
            return [
                as_text(raw) for raw in self._pick(keys=keys, args=[-1 if from_tail else 1, *ids])
            ]

    def drop(self, ids: Sequence[str]) -> None:
        """Let go of ids that need nothing more: their rows are over, or run elsewhere."""
        if ids:
            with wire_errors("drop"):
                self.redis.srem(WireKeys.hand(self.worker_id), *ids)

    def adopt(self, execution_id: str, *, from_worker: str) -> bool:
        """Take an id over from another hand; False when it is no longer there."""
        with wire_errors("adoption"):
            return bool(
                self.redis.smove(
                    WireKeys.hand(from_worker), WireKeys.hand(self.worker_id), execution_id
                )
            )

    def give_back(self, popped: Iterable[tuple[str, str]]) -> None:
        """Put ids back at the head of the lists they came from."""
        by_list: dict[str, list[str]] = {}
        for execution_id, name in popped:
            by_list.setdefault(name, []).append(execution_id)
        for name, ids in by_list.items():
            give_back(self.redis, self.worker_id, name, ids)

    def settle(self, settled: Sequence[Settled]) -> None:
        """Show how attempts ended, and let go of them."""
        by_list: dict[str, list[Settled]] = {}
        for item in settled:
            by_list.setdefault(list_name(item.queue, item.priority), []).append(item)
        for name, batch in by_list.items():
            self._settle_list(name, batch)

    def announce(self, announcements: Sequence[Announcement]) -> None:
        """Show attempts as running, or renew that; valid for `ANNOUNCED_TTL_S` seconds."""
        keys = [WireKeys.worker(self.worker_name), WireKeys.worker_executions(self.worker_name)]
        args: list[str | int] = [self.worker_name, rq_time(), int(time.time()), ANNOUNCED_TTL_S]
        for item in announcements:
            name = list_name(item.queue, item.priority)
            keys += (
                WireKeys.job(item.id),
                WireKeys.registry("wip", name),
                WireKeys.registry("failed", name),
                WireKeys.execution(item.id, item.attempt),
                WireKeys.executions(item.id),
            )
            args += (item.id, item.attempt, rq_time(item.started_at))
        with wire_errors("announcement"):
            self._announce(keys=keys, args=args)

    def retract(self, announced: Sequence[OnWire]) -> None:
        """Remove what `announce` wrote; keyed by attempt, so it can hurt no newer one."""
        with wire_errors("retraction"), self.redis.pipeline(transaction=False) as pipe:
            for item in announced:
                name, member = list_name(item.queue, item.priority), f"{item.id}:{item.attempt}"
                pipe.zrem(WireKeys.registry("wip", name), member)
                pipe.delete(WireKeys.execution(item.id, item.attempt))
                pipe.zrem(WireKeys.executions(item.id), item.attempt)
                pipe.srem(WireKeys.worker_executions(self.worker_name), member)
            pipe.execute()

    def _settle_list(self, name: str, batch: Sequence[Settled]) -> None:
        shown = [(i, item) for i, item in enumerate(batch, 1) if item.error or item.attempt > 1]
        keys = [
            WireKeys.hand(self.worker_id),
            WireKeys.worker(self.worker_name),
            *(WireKeys.registry(kind, name) for kind in ("finished", "failed", "canceled")),
            *(WireKeys.job(item.id) for item in batch),
            *(WireKeys.results(item.id) for _, item in shown),
            *(WireKeys.job(doomed) for doomed in self._doomed),
        ]
        args: list[str | int] = [len(batch), len(shown), rq_time(), int(time.time())]
        args += (FINISHED_TTL_S, FAILED_TTL_S, FINISHED_KEPT)
        details = [f"{item.attempt} {item.status}" for item in batch]
        # What ends together mostly ends alike; an argument costs a microsecond.
        details = details[:1] if len(set(details)) == 1 else details
        args += (len(details), *details)
        for position, item in shown:
            args += (position, _packed(item.error))
        with wire_errors("settlement"):
            self._doomed = [as_text(raw) for raw in self._settle(keys=keys, args=args)]


class Hands:
    """All hands, for whoever puts back those of dead workers."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis

    def workers(self) -> set[str]:
        """The ids of all workers that have opened a hand and not closed it."""
        with wire_errors("look at the hands"):
            return {as_text(raw) for raw in self.redis.smembers(WireKeys.hands)}

    def ids(self, worker_id: str) -> set[str]:
        """What one worker holds."""
        with wire_errors("look at a hand"):
            return {as_text(raw) for raw in self.redis.smembers(WireKeys.hand(worker_id))}

    def give_back_all(self, worker_id: str) -> int:
        """Put a dead worker's whole hand back on its lists; returns how many ids moved.

        An id whose hash is gone stays out: the reconciler pushes it again from the ledger.
        """
        with wire_errors("hand-back"):
            # First: no push may put anything more into this hand, nor a pop take what was offered.
            self.redis.delete(WireKeys.seat(worker_id), WireKeys.offer(worker_id))
        ids = sorted(self.ids(worker_id))
        moved = 0
        with wire_errors("hand-back"):
            with self.redis.pipeline(transaction=False) as pipe:
                for execution_id in ids:
                    pipe.hget(WireKeys.job(execution_id), "origin")
                origins = pipe.execute()
            by_list: dict[str, list[str]] = {}
            for execution_id, origin in zip(ids, origins, strict=True):
                if origin:
                    by_list.setdefault(as_text(origin), []).append(execution_id)
            for name, batch in by_list.items():
                moved += give_back(self.redis, worker_id, name, batch)
            self.redis.delete(
                WireKeys.hand(worker_id),
                WireKeys.popped(worker_id),
                WireKeys.call(worker_id),
            )
            self.redis.srem(WireKeys.hands, worker_id)
        return moved

    def unregister(self, worker_name: str, queues: Sequence[str]) -> None:
        """Remove a dead worker from what RQ's tools list, as its own end would have."""
        key = WireKeys.worker(worker_name)
        with wire_errors("worker's end"), self.redis.pipeline() as pipe:
            pipe.srem(WireKeys.workers, key)
            for name in (name for queue in queues for name in list_names(queue)):
                pipe.srem(WireKeys.workers_of(name), key)
            pipe.delete(key, WireKeys.worker_executions(worker_name))
            pipe.execute()


def give_back(redis: Redis, worker_id: str, name: str, ids: Sequence[str]) -> int:
    """Put those ids that are still in a hand back at the head of one list."""
    queue = name.removesuffix(".high").removesuffix(".low")
    keys = [WireKeys.hand(worker_id), WireKeys.list(name), WireKeys.wake(queue)]
    with wire_errors("hand-back"):
        return int(load_script(redis, "give_back")(keys=keys, args=list(ids)))


def _packed(error: str) -> str:
    """An error's text as RQ keeps it in a result."""
    return b64encode(zlib.compress(error.encode(errors="replace"))).decode() if error else ""
