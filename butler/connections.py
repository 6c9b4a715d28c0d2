"""Connections to Redis, made lazily and with limits.

redis-py's own defaults suit a cache: ten retries, so that a black-holed server takes fifteen
seconds to fail, and a call whose reply was lost is run twice without anybody knowing. Here every
client states its timeout and retries nothing; whoever can repeat a call safely does so itself,
with a token.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from butler.errors import QueueUnavailable, SettingsError
from butler.redis_url import SentinelAddress, is_sentinel_url, mask_url, read_sentinel_url

if TYPE_CHECKING:
    from redis import ConnectionPool, Redis
    from redis.sentinel import Sentinel

OLDEST_REDIS = (6, 2)
HEALTH_CHECK_EVERY_S = 30

# What a pool notes for itself among its connections' parameters, and what would make it retry.
_POOLS_OWN = (
    "maint_notifications_pool_handler",
    "orig_host_address",
    "orig_socket_connect_timeout",
    "orig_socket_timeout",
    "retry_on_error",
    "retry_on_timeout",
)


def connect_redis(url: str, *, timeout_s: float = 5.0) -> Redis:
    """A client of the server, or of the master that Sentinels name; it connects at first use.

    ``timeout_s`` bounds connecting and each reply. Raises `SettingsError` for a URL that cannot be
    used; see ``redis_url`` for what can.
    """
    from redis import Redis

    limits = {**_limits(timeout_s), "health_check_interval": HEALTH_CHECK_EVERY_S}
    try:
        if is_sentinel_url(url):
            client = Redis(connection_pool=_sentinel_pool(read_sentinel_url(url), limits))
        else:
            client = Redis.from_url(url, **limits)
        # Made and thrown away: a parameter that is none would only be stumbled over at first use.
        client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)
    except SettingsError:
        raise
    except (TypeError, ValueError) as error:
        raise SettingsError(f"redis_url {mask_url(url)!r} cannot be used: {error}") from error
    return client


def clone_redis(client: Redis, *, timeout_s: float | None) -> Redis:
    """A client of the same server with a pool and a timeout of its own, which retries nothing.

    For blocking reads, for pushes that must not take long, and for RQ, which raises the timeout
    of every pool it is given.
    """
    from redis import ConnectionPool, Redis
    from redis.sentinel import SentinelConnectionPool

    pool = client.connection_pool
    kwargs: dict[str, Any] = dict(pool.connection_kwargs)
    for name in _POOLS_OWN:
        kwargs.pop(name, None)
    # A client that the application made retries ten times by default.
    kwargs |= _limits(timeout_s)
    if timeout_s is None:
        # Only replies may take for ever.
        kwargs["socket_connect_timeout"] = pool.connection_kwargs.get("socket_connect_timeout")
    if not isinstance(pool, SentinelConnectionPool):
        twin = ConnectionPool(connection_class=pool.connection_class, **kwargs)
        return Redis(connection_pool=twin)
    del kwargs["connection_pool"]
    sentinel = _clone_sentinel(pool.sentinel_manager, timeout_s=timeout_s)
    twin = SentinelConnectionPool(  # type: ignore[no-untyped-call]
        pool.service_name, sentinel, connection_class=pool.connection_class, **kwargs
    )
    return Redis(connection_pool=twin)


def _clone_sentinel(known: Sentinel, *, timeout_s: float | None) -> Sentinel:
    """The same Sentinels, asked within the same time as the master."""
    from redis.sentinel import Sentinel

    pools = [sentinel.connection_pool.connection_kwargs for sentinel in known.sentinels]
    hosts = [(each["host"], each["port"]) for each in pools]
    limits = {} if timeout_s is None else _limits(timeout_s)
    return Sentinel(  # type: ignore[no-untyped-call]
        hosts, sentinel_kwargs={**known.sentinel_kwargs, **limits}
    )


def _limits(timeout_s: float | None) -> dict[str, Any]:
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 0),
    }


def _sentinel_pool(address: SentinelAddress, limits: dict[str, Any]) -> ConnectionPool:
    from redis.connection import SSLConnection, parse_url
    from redis.sentinel import Sentinel, SentinelConnectionPool

    kwargs: dict[str, Any] = dict(parse_url(address.master_url))  # type: ignore[no-untyped-call]
    kwargs.pop("host")
    to_sentinels: dict[str, Any] = {**address.credentials, **limits}
    if kwargs.pop("connection_class", None) is SSLConnection:
        # One certificate authority for all of them.
        to_sentinels |= {name: kwargs[name] for name in kwargs if name.startswith("ssl_")}
        kwargs["ssl"] = to_sentinels["ssl"] = True
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        list(address.sentinels), sentinel_kwargs=to_sentinels
    )
    return SentinelConnectionPool(  # type: ignore[no-untyped-call]
        address.service, sentinel, **kwargs | limits
    )


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
