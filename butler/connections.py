"""Connections to Redis, made lazily and with limits.

redis-py's own defaults suit a cache: ten retries, so that a black-holed server takes fifteen
seconds to fail, and a call whose reply was lost is run twice without anybody knowing. Here every
client states its timeout and retries nothing; whoever can repeat a call safely does so itself,
with a token.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from butler.errors import QueueUnavailable, SettingsError

if TYPE_CHECKING:
    from redis import Redis


OLDEST_REDIS = (6, 2)


def connect_redis(url: str, *, timeout_s: float = 5.0) -> Redis:
    """A client for ``redis://``, ``rediss://`` or ``unix://`` that connects at first use.

    ``timeout_s`` bounds connecting and each reply. Raises `SettingsError` for another scheme.
    """
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise SettingsError(
            f"redis_url must start with redis://, rediss:// or unix://, got {mask_url(url)!r}"
        )
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    client: Redis = Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=30,
    )
    return client


def clone_redis(client: Redis, *, timeout_s: float | None) -> Redis:
    """A client of the same server with a pool and a timeout of its own, which retries nothing.

    For blocking reads, for pushes that must not take long, and for RQ, which raises the timeout
    of every pool it is given.
    """
    from redis import ConnectionPool, Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    pool = client.connection_pool
    kwargs: dict[str, Any] = dict(pool.connection_kwargs)
    kwargs["socket_timeout"] = timeout_s
    # A client that the application made retries ten times by default.
    kwargs["retry"] = Retry(NoBackoff(), 0)
    kwargs.pop("retry_on_error", None)
    kwargs.pop("retry_on_timeout", None)
    if timeout_s is not None:
        kwargs["socket_connect_timeout"] = timeout_s
    twin = ConnectionPool(connection_class=pool.connection_class, **kwargs)
    return Redis(connection_pool=twin)


def check_redis(client: Redis) -> None:
    """Raise `QueueUnavailable` when the server is too old, a cluster, or not there."""
    import redis

    try:
        info: dict[str, Any] = client.info()
    except redis.RedisError as error:
        raise QueueUnavailable(f"Redis cannot be reached: {error}") from error
    version = tuple(int(part) for part in re.findall(r"\d+", str(info["redis_version"]))[:2])
    if version < OLDEST_REDIS:
        raise QueueUnavailable(
            f"Redis {info['redis_version']} is too old: LPOP with a count needs 6.2"
        )
    if info.get("cluster_enabled"):
        raise QueueUnavailable(
            "Redis Cluster is not supported: one script moves an id between its queue, its hash "
            "and a hand, and a cluster keeps those on different nodes; use one server or Sentinel"
        )


def mask_url(url: str) -> str:
    """The URL with its password replaced, for logs and messages."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    user = parts.username or ""
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:***@{host}"))
