"""Which of RQ's lists are this ledger's; others may share the Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from butler.queues import WireKeys, as_text, wire_errors

if TYPE_CHECKING:
    from redis import Redis


def lists_of_ledger(redis: Redis, ledger_id: str) -> list[str]:
    """The names of all lists onto whose queue this ledger has pushed; raises `QueueUnavailable`."""
    prefix = WireKeys.list("")
    with wire_errors("look at the queues"):
        keys = sorted(as_text(raw) for raw in redis.smembers(WireKeys.queues))
        names = [key.removeprefix(prefix) for key in keys]
        if not names:
            return []
        queues = [name.removesuffix(".high").removesuffix(".low") for name in names]
        owners = redis.mget([WireKeys.ledger(queue) for queue in queues])
    return [
        name
        for name, owner in zip(names, owners, strict=True)
        if owner is not None and as_text(owner) == ledger_id
    ]
