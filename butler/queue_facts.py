"""`QueueFacts`: what Redis says of the queues, for those who look and change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from butler.executions import Priority
from butler.queues import WireKeys, as_text, list_name, wire_errors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from redis import Redis

_SUFFIXES = tuple(list_name("", priority) for priority in Priority)


class QueueFacts:
    """Reads the wire; raises `QueueUnavailable` when Redis does not answer."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def ping(self) -> None:
        """Ask Redis the smallest question."""
        with wire_errors("PING"):
            self._redis.ping()

    def names(self) -> set[str]:
        """Every queue that was ever pushed to or served, by its own name without a priority."""
        prefix = WireKeys.list("")
        with wire_errors("list of queues"):
            members = [as_text(member) for member in self._redis.smembers(WireKeys.queues)]
        return {_without_priority(member.removeprefix(prefix)) for member in members}

    def depths(self, queue: str) -> dict[Priority, int]:
        """How many wait on each of a queue's three lists, and their turn beside it."""
        with wire_errors("depth"), self._redis.pipeline(transaction=False) as pipe:
            for priority in Priority:
                pipe.llen(WireKeys.list(list_name(queue, priority)))
                pipe.zcard(WireKeys.waiting(list_name(queue, priority)))
            found = pipe.execute()
        return {
            priority: int(found[2 * n]) + int(found[2 * n + 1])
            for n, priority in enumerate(Priority)
        }

    def fair_keys(self, queue: str) -> int:
        """How many fair keys take turns on a queue now, all priorities together (about)."""
        with wire_errors("depth"), self._redis.pipeline(transaction=False) as pipe:
            for priority in Priority:
                pipe.zcard(WireKeys.turns(list_name(queue, priority)))
            return sum(int(count) for count in pipe.execute())

    def ledgers(self, queues: Iterable[str]) -> dict[str, str]:
        """The ids of the ledgers that pushed to the queues, where one did."""
        found = {}
        with wire_errors("look at ledgers"):
            for queue in queues:
                ledger = self._redis.get(WireKeys.ledger(queue))
                if ledger is not None:
                    found[queue] = as_text(ledger)
        return found


def _without_priority(name: str) -> str:
    for suffix in _SUFFIXES:
        if suffix and name.endswith(suffix):
            return name.removesuffix(suffix)
    return name
