"""Parks: where ids wait, off their lists, for a limit to have room.

The ledger decides (`Storage.claim`); an id it refuses for a limit is moved from the hand into the
park of that limit and of that part of it: ``concurrency:customer:42``, ``rate:Send Mail``,
``paused:queue:mail``. It stands there behind nothing but what has a higher priority or is older,
and costs nobody anything until it is woken:

- by the release of a slot: whoever has written the end of an attempt wakes one id for each name of
  which that attempt held a slot;
- by the clock, for rates: ``butler:parks`` says when a park is worth a look, and the scheduler's
  parker looks;
- by an operator, who lets a queue go on or changes a limit.

A slot may be released between a claim's refusal and the parking. So whoever has parked asks the
ledger once more (`settle`), and the scheduler asks for the eldest of each park once a second: a
wake that was lost with its worker costs a second. To wake too many is harmless: they are parked
again.

Nothing here is the truth. After a wiped Redis the reconciler pushes what the ledger has queued, and
what is refused again is parked again.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from butler.executions import Priority
from butler.limiting import QUEUE_PREFIX
from butler.queues import (
    OUR_PREFIX,
    WAKE_TOKENS,
    WireKeys,
    as_text,
    list_name,
    load_script,
    wire_errors,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from redis import Redis

    from butler.storage.base import Storage
    from butler.storage.limits import LimitPart, Prospect, Wait

WAKE_BATCH = 500
PARTS: tuple[LimitPart, ...] = ("paused", "concurrency", "rate")
_RANK = {list_name("", priority): rank for rank, priority in enumerate(Priority)}


class Parks:
    """All parks of one Redis; raises `QueueUnavailable` when that does not answer."""

    index = f"{OUR_PREFIX}:parks"

    def __init__(self, redis: Redis) -> None:
        # redis-py types what a sorted set answers by its arguments, loosely.
        self._redis: Any = redis
        self._park = load_script(redis, "park")
        self._unpark = load_script(redis, "unpark")

    @staticmethod
    def key(park: str) -> str:
        """Sorted set of what waits in one park."""
        return f"{OUR_PREFIX}:park:{park}"

    def park(self, worker_id: str, refused: Sequence[tuple[str, str, Wait]]) -> list[str]:
        """Move (id, list, wait) out of a hand; the parks they went to."""
        by_park: dict[str, list[tuple[str, str, Wait]]] = {}
        for item in refused:
            by_park.setdefault(f"{item[2].part}:{item[2].limit}", []).append(item)
        with wire_errors("parking"), self._redis.pipeline(transaction=False) as pipe:
            for park, batch in by_park.items():
                wait = batch[0][2]
                at = time.time() + wait.wait_s if wait.part == "rate" else "+inf"
                args: list[str | float] = [park, at]
                for execution_id, name, _ in batch:
                    args += (_RANK[_suffix(name)], f"{execution_id} {name}")
                keys = [WireKeys.hand(worker_id), self.key(park), self.index]
                self._park(keys=keys, args=args, client=pipe)
            pipe.execute()
        return list(by_park)

    def release(self, names: Iterable[str]) -> None:
        """Slots of these limits are free again, one for each time a name comes."""
        for name, count in Counter(names).items():
            self.wake(f"concurrency:{name}", count)

    def wake(self, park: str, count: int) -> int:
        """Put the first ``count`` ids of a park at the head of their lists; how many there were.

        Ids that were cancelled or deleted meanwhile leave the park, and are not counted.
        """
        woken = 0
        while woken < count:
            page = self._first(park, min(count - woken, WAKE_BATCH))
            if not page:
                break
            with wire_errors("waking"), self._redis.pipeline(transaction=False) as pipe:
                for member in page:
                    pipe.hget(WireKeys.job(member[:36]), "status")
                statuses = pipe.execute()
            live = [m for m, status in zip(page, statuses, strict=True) if _queued(status)]
            gone = [m for m in page if m not in live]
            with wire_errors("waking"):
                if gone:
                    self._redis.zrem(self.key(park), *gone)
            woken += self._wake(park, live)
        return woken

    def settle(self, storage: Storage, parks: Sequence[str]) -> None:
        """Ask the ledger about the eldest of each park, and wake as many as there is room for."""
        eldest = {park: page[0][:36] for park in parks if (page := self._first(park, 1))}
        said: dict[str, list[Prospect]] = {}
        for prospect in storage.prospects(list(eldest.values())):
            said.setdefault(prospect.execution_id, []).append(prospect)
        for park, execution_id in eldest.items():
            prospects = said.get(execution_id, [])
            room = min((prospect.room for prospect in prospects), default=WAKE_BATCH)
            if room > 0:
                self.wake(park, room)
            self._look_again(park, prospects)

    def due(self, *, limit: int) -> list[str]:
        """Parks that are worth a look by now: those of rates."""
        with wire_errors("look at the parks"):
            found = self._redis.zrangebyscore(self.index, "-inf", time.time(), 0, limit)
        return [as_text(raw) for raw in found]

    def page(self, start: int, limit: int) -> list[str]:
        """Some of all parks."""
        with wire_errors("look at the parks"):
            return [
                as_text(raw) for raw in self._redis.zrange(self.index, start, start + limit - 1)
            ]

    def next_due_at(self) -> float | None:
        """The unix time at which the next park of a rate is worth a look."""
        with wire_errors("look at the parks"):
            for _, at in self._redis.zrange(self.index, 0, 0, withscores=True):
                return None if at == float("inf") else float(at)
        return None

    def show_paused(self, queues: Sequence[str]) -> None:
        """Say which queues workers need not look at; the ledger refuses them in any case."""
        with wire_errors("pause"), self._redis.pipeline() as pipe:
            pipe.delete(WireKeys.paused)
            if queues:
                pipe.sadd(WireKeys.paused, *queues)
            pipe.execute()

    def shown_paused(self) -> set[str]:
        """The queues that workers pass over."""
        with wire_errors("look at pauses"):
            return {as_text(raw) for raw in self._redis.smembers(WireKeys.paused)}

    def resume(self, queue: str) -> None:
        """Put back what was popped while its queue was paused, and wake workers for the rest."""
        while self.wake(f"paused:{QUEUE_PREFIX}{queue}", WAKE_BATCH) == WAKE_BATCH:
            pass
        with wire_errors("waking"), self._redis.pipeline() as pipe:
            pipe.delete(WireKeys.wake(queue))
            pipe.rpush(WireKeys.wake(queue), *[""] * WAKE_TOKENS)
            pipe.execute()

    def waiting(self, names: Iterable[str]) -> dict[str, int]:
        """How many ids are parked for each of these limits, whatever part of it keeps them."""
        counts = dict.fromkeys(names, 0)
        with wire_errors("look at the parks"), self._redis.pipeline(transaction=False) as pipe:
            for name in counts:
                for part in PARTS:
                    pipe.zcard(self.key(f"{part}:{name}"))
            found = iter(pipe.execute())
        return {name: sum(int(next(found)) for _ in PARTS) for name in counts}

    def ids(self) -> Iterable[str]:
        """Every id that is parked."""
        with wire_errors("look at the parks"):
            for park in self._redis.zrange(self.index, 0, -1):
                for raw, _ in self._redis.zscan_iter(self.key(as_text(park)), count=1_000):
                    yield as_text(raw)[:36]

    def _first(self, park: str, count: int) -> list[str]:
        with wire_errors("look at a park"):
            return [as_text(raw) for raw in self._redis.zrange(self.key(park), 0, count - 1)]

    def _wake(self, park: str, members: Sequence[str]) -> int:
        by_list: dict[str, list[str]] = {}
        for member in members:
            by_list.setdefault(member[37:], []).append(member)
        moved = 0
        for name, batch in by_list.items():
            queue = name.removesuffix(".high").removesuffix(".low")
            keys = [self.key(park), self.index, WireKeys.list(name), WireKeys.wake(queue)]
            with wire_errors("waking"):
                moved += int(self._unpark(keys=keys, args=[park, *batch]))
        return moved

    def _look_again(self, park: str, prospects: Sequence[Prospect]) -> None:
        """When a rate is worth a look again; what has gone leaves the index."""
        rates = [prospect.wait_s for prospect in prospects if prospect.part == "rate"]
        with wire_errors("look at a park"):
            if not self._redis.exists(self.key(park)):
                self._redis.zrem(self.index, park)
            elif park.startswith("rate:"):
                at = time.time() + max([0.01, *rates])
                self._redis.zadd(self.index, {park: at}, xx=True)


def _suffix(name: str) -> str:
    return "." + name.rpartition(".")[2] if "." in name else ""


def _queued(status: bytes | str | None) -> bool:
    return status is not None and as_text(status) == "queued"
