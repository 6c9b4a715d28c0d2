"""A Redis in this process, for `Butler.in_memory`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from butler.errors import ButlerError

if TYPE_CHECKING:
    from redis import Redis


def memory_redis() -> Redis:
    """A client of a fakeredis server of its own; raises `ButlerError` when it is not installed."""
    try:
        import fakeredis
    except ImportError as error:
        raise ButlerError(
            "Butler.in_memory() needs fakeredis, which is not installed: "
            "pip install 'butler-tasks[testing]'"
        ) from error
    client: Redis = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    return client
