"""Checks of the two servers: do they answer, how fast, and do their clocks agree with ours."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from butler.durations import seconds_text
from butler.errors import ButlerError, SchemaOutdated
from butler.monitoring.health import limits
from butler.monitoring.health.verdict import degraded, healthy, unhealthy
from butler.queue_facts import QueueFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from redis import Redis

    from butler.clock import Clock
    from butler.monitoring.health.verdict import HealthCheck
    from butler.storage.base import Storage


SERVER_CHECKS = frozenset({"postgres", "schema", "clock", "redis"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServersLook:
    """How the servers do; ``now`` is the ledger's time, None where it cannot be worked on."""

    checks: tuple[HealthCheck, ...]
    now: datetime | None = None


def look_at_postgres(
    storage: Callable[[], Storage], clock: Clock, *, connected: bool
) -> ServersLook:
    """Postgres, its schema and its clock; of a ledger that does not answer only the first.

    ``connected`` is for who has just asked something else.
    """
    try:
        if not connected:
            # Connecting is paid by the first question; how the server does, the second one says.
            storage().now()
        began_s, before = clock.monotonic(), clock.now()
        ledger_now = storage().now()
    except SchemaOutdated as error:
        known = healthy("postgres", "answers")
        return ServersLook(checks=(known, unhealthy("schema", str(error), "run: butler migrate")))
    except ButlerError as error:
        remedy = "is it up, and does database_url name it?"
        return ServersLook(checks=(unhealthy("postgres", str(error), remedy),))
    took_s = clock.monotonic() - began_s
    checks = (
        judge_answer(
            "postgres", took_s, slow=limits.POSTGRES_SLOW_S, bad=limits.POSTGRES_TOO_SLOW_S
        ),
        healthy("schema", "is one this release can work on"),
        judge_clock(ledger_now, before=before, after=clock.now()),
    )
    return ServersLook(checks=checks, now=ledger_now)


def check_redis(redis: Callable[[], Redis]) -> Iterator[HealthCheck]:
    """Redis; without it work goes on slowly, from the ledger alone, or not at all."""
    try:
        QueueFacts(redis()).ping()
        began_s = time.monotonic()
        QueueFacts(redis()).ping()
    except ButlerError as error:
        yield unhealthy(
            "redis",
            f"{error}; nothing is lost, but nothing new is started",
            "is it up, and does redis_url name it?",
        )
        return
    took_s = time.monotonic() - began_s
    yield judge_answer("redis", took_s, slow=limits.REDIS_SLOW_S, bad=limits.REDIS_TOO_SLOW_S)


def judge_answer(name: str, took_s: float, *, slow: float, bad: float) -> HealthCheck:
    """How fast a server answered the smallest question."""
    words = f"answers in {seconds_text(took_s)}"
    remedy = "look at its load, its disk and the network to it"
    if took_s >= bad:
        return unhealthy(name, words, remedy)
    return degraded(name, words, remedy) if took_s >= slow else healthy(name, words)


def judge_clock(ledger_now: datetime, *, before: datetime, after: datetime) -> HealthCheck:
    """Whether the ledger's clock, read between two readings of ours, agrees with it."""
    off_s = max((before - ledger_now).total_seconds(), (ledger_now - after).total_seconds(), 0.0)
    if off_s < limits.CLOCK_OFF_S:
        return healthy("clock", "Postgres' clock agrees with this machine's")
    words = f"Postgres' clock is {seconds_text(off_s)} off this machine's"
    remedy = "keep both clocks with NTP: schedules follow Postgres' clock"
    make = unhealthy if off_s >= limits.CLOCK_FAR_OFF_S else degraded
    return make("clock", words, remedy)
