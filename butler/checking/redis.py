"""Checks of Redis: reachable, new enough, never throwing keys away, and not another ledger's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from butler.checking.findings import ok, problem, warning
from butler.checking.ledger import check_clock
from butler.connections import check_redis
from butler.errors import QueueUnavailable
from butler.queue_facts import QueueFacts
from butler.queues import wire_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from redis import Redis

    from butler.checking.findings import Finding

KEEPS_ALL = "noeviction"


def check_server(client: Redis) -> Iterator[Finding]:
    """The server by itself; raises `QueueUnavailable` when it is not there."""
    try:
        check_redis(client)
    except QueueUnavailable as error:
        if error.__cause__ is not None:
            raise
        yield problem("redis", str(error), "use one server of Redis 6.2 or newer, or Sentinels")
    with wire_errors("INFO"):
        info: dict[str, Any] = client.info()
    yield ok("redis", f"{info.get('server_name', 'redis')} {info['redis_version']}")
    yield check_eviction(info)
    yield check_persistence(info, saves=_saves(client))
    yield _check_clock(client)


def check_eviction(info: Mapping[str, Any]) -> Finding:
    """Whether it would throw keys away when it is full."""
    policy = str(info.get("maxmemory_policy", "unknown"))
    limit = int(info.get("maxmemory", 0))
    text = f"maxmemory-policy is {policy}, maxmemory {limit or 'unlimited'}"
    if policy == KEEPS_ALL:
        return ok("redis memory", text)
    advice = f"set maxmemory-policy to {KEEPS_ALL}: an evicted queue is found again, but late"
    return problem("redis memory", text, advice) if limit else warning("redis memory", text, advice)


def check_persistence(info: Mapping[str, Any], *, saves: str | None) -> Finding:
    """Whether its data survives a restart; no work is lost without, but time is."""
    if int(info.get("aof_enabled", 0)):
        return ok("redis persistence", "append-only file")
    if saves is None:
        return ok("redis persistence", "no append-only file; snapshots cannot be asked about here")
    if saves:
        return ok("redis persistence", f"snapshots ({saves}), no append-only file")
    return warning(
        "redis persistence",
        "none: a restart empties every queue",
        "turn on appendonly; without it the scheduler pushes all that waits again, from Postgres",
    )


def check_ledgers(client: Redis, *, ledger_id: str, queues: Iterable[str]) -> Iterator[Finding]:
    """Whether another ledger's producers push to the same queues."""
    found = QueueFacts(client).ledgers(sorted(queues))
    foreign = {queue: ledger for queue, ledger in found.items() if ledger != ledger_id}
    if not foreign:
        yield ok("redis ledger", f"{len(found)} queues, all of this ledger")
    for queue, ledger in foreign.items():
        yield problem(
            "redis ledger",
            f"queue {queue} is also pushed to by ledger {ledger} (this one is {ledger_id})",
            "give each ledger a Redis database or queues of its own",
        )


def _saves(client: Redis) -> str | None:
    """The rules for snapshots; None where asking is not allowed."""
    try:
        with wire_errors("CONFIG"):
            return str(client.config_get("save").get("save", ""))
    except QueueUnavailable:
        return None


def _check_clock(client: Redis) -> Finding:
    before = time.time()
    with wire_errors("TIME"):
        seconds, microseconds = client.time()
    after = time.time()
    ahead_s = seconds + microseconds / 1e6 - (before + after) / 2
    return check_clock("redis clock", ahead_s, (after - before) / 2)
