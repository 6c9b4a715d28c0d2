"""Which ids the wire holds: a compact set of everything in lists and hands.

What a plain RQ worker has popped is in neither, and until its work-horse has claimed it the ledger
calls it queued. RQ notes it as started before it forks, so what is noted there is held as well.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from butler.parks import Parks
from butler.queues import WireKeys, as_text, wire_errors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from redis import Redis

    from butler.hands import Hands

PAGE = 5_000
UUID_LENGTH = 36


class HeldIds:
    """Ids that were in a queue list, started or in a hand when this was read.

    Eight bytes an id: the last 64 bits of a UUID, 62 of them random. Among a million ids two share
    them once in ten million readings, and the id that is taken for held then is still seen by the
    check of its hash.
    """

    def __init__(self, ids: Iterable[str]) -> None:
        keys = array("Q")
        for id_ in ids:
            key = _key(id_)
            if key is not None:
                keys.append(key)
        self._keys = array("Q", sorted(keys))

    def __contains__(self, execution_id: str) -> bool:
        key = _key(execution_id)
        if key is None:
            return False
        at = bisect_left(self._keys, key)
        return at < len(self._keys) and self._keys[at] == key

    def __len__(self) -> int:
        return len(self._keys)


def read_held(redis: Redis, hands: Hands) -> HeldIds:
    """Read what waits beside each list RQ knows of, and the list; what is started; every hand.

    In this order, because ids move from lists to the others: one that leaves its list unread is in
    one of them when those are read. Raises `QueueUnavailable`.
    """
    return HeldIds(_all_ids(redis, hands))


def _all_ids(redis: Redis, hands: Hands) -> Iterable[str]:
    with wire_errors("look at the lists"):
        keys = [as_text(raw) for raw in redis.smembers(WireKeys.queues)]
        for key in keys:
            yield from _waiting_ids(redis, key.removeprefix(WireKeys.list("")))
            yield from _list_ids(redis, key)
        for key in keys:
            yield from _started_ids(redis, key.removeprefix(WireKeys.list("")))
    for worker_id in hands.workers():
        yield from hands.ids(worker_id)
    yield from Parks(hands.redis).ids()


def _waiting_ids(redis: Redis, name: str) -> Iterable[str]:
    members: Any = redis.zscan_iter(WireKeys.waiting(name), count=PAGE)
    for raw, _ in members:
        yield as_text(raw)[-UUID_LENGTH:]


def _list_ids(redis: Redis, key: str) -> Iterable[str]:
    # From the tail: pops at the head shift no index counted from the tail. A push there shifts
    # ids to where they are read twice, never to where they are missed.
    last = -1
    while True:
        page = redis.lrange(key, last - PAGE + 1, last)
        yield from map(as_text, page)
        if len(page) < PAGE:
            return
        last -= PAGE


def _started_ids(redis: Redis, queue: str) -> Iterable[str]:
    # An entry whose time has passed is of a worker that has died.
    now_s = redis.time()[0]
    members: Any = redis.zrangebyscore(WireKeys.registry("wip", queue), now_s, "+inf")
    for member in members:
        yield as_text(member).partition(":")[0]


def _key(id_: str) -> int | None:
    # Lists hold plain RQ jobs too, whose ids may be anything.
    if len(id_) != UUID_LENGTH:
        return None
    try:
        return int(id_[19:23] + id_[24:], 16)
    except ValueError:
        return None
