"""Queues and limits, as HTTP knows them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Self

from pydantic import Field

from butler.limiting import MAX_CONCURRENCY, LimitRule
from butler.storage.limits import LimitKind, LimitRow
from butler.web.models.base import Given, Shown, given_like

if TYPE_CHECKING:
    # It brings Redis with it, which the client of this API does without.
    from butler.monitoring.queues import QueueStanding


class NewLimit(Given):
    """What is to be allowed; both must be said, and null is any number of them."""

    model_config = given_like({"max_concurrency": 4, "rate": "100/minute", "rate_burst": 10})

    max_concurrency: int | None = Field(
        ge=1, le=MAX_CONCURRENCY, description="So many attempts at once.", examples=[4]
    )
    rate: str | None = Field(
        max_length=50, description="So many starts a time.", examples=["100/minute"]
    )
    rate_burst: int | None = Field(
        None, ge=1, le=MAX_CONCURRENCY, description="So many of them together."
    )


class ShownRule(Shown):
    """What is allowed; null is any number."""

    max_concurrency: int | None
    rate: str | None
    rate_burst: int | None

    @classmethod
    def of(cls, rule: LimitRule) -> Self:
        """As HTTP knows it."""
        rate = rule.rate
        return cls(
            max_concurrency=rule.max_concurrency,
            rate=None if rate is None else rate.text,
            rate_burst=None if rate is None else rate.burst,
        )


class ShownLimit(Shown):
    """What holds under one name; `given` by an operator goes over what code has `declared`."""

    name: str = Field(description="A task's, a key's, or `queue:` and a queue's.")
    kind: LimitKind
    rule: ShownRule
    declared: ShownRule | None
    given: ShownRule | None
    running: int = Field(description="Attempts that hold a slot.")
    paused_at: datetime | None

    @classmethod
    def of(cls, row: LimitRow) -> Self:
        """As HTTP knows it."""
        return cls(
            name=row.name,
            kind=row.kind,
            rule=ShownRule.of(row.rule),
            declared=None if row.declared is None else ShownRule.of(row.declared),
            given=None if row.given is None else ShownRule.of(row.given),
            running=row.running,
            paused_at=row.paused_at,
        )


class LimitPage(Shown):
    """A page of limits, by name."""

    limits: list[ShownLimit]
    next_cursor: str | None


class ShownPace(Shown):
    """How fast a queue went in the last five minutes."""

    ended_per_s: float
    failure_rate: float | None = Field(description="0..1; null where nothing ended.")
    wait_p95_s: float | None
    run_p95_s: float | None


class ShownQueue(Shown):
    """One queue. What is due later, or waits to be retried, is not in its depth."""

    name: str
    paused: bool
    paused_at: datetime | None
    depth: int = Field(description="What waits; counted up to 100,000 over all queues.")
    oldest_s: float | None = Field(description="How long the oldest of those has waited.")
    running: int
    workers: int = Field(description="Live worker processes that serve it.")
    pace: ShownPace
    limit: ShownRule | None = Field(description="Of the queue as a whole.")

    @classmethod
    def of(cls, standing: QueueStanding) -> Self:
        """As HTTP knows it."""
        lately = standing.lately
        return cls(
            name=standing.name,
            paused=standing.paused_at is not None,
            paused_at=standing.paused_at,
            depth=standing.depth,
            oldest_s=standing.oldest_s,
            running=standing.running,
            workers=standing.workers,
            pace=ShownPace(
                ended_per_s=0.0 if lately is None else lately.ended_per_s,
                failure_rate=None if lately is None else lately.failure_rate,
                wait_p95_s=None if lately is None else lately.wait.p95_s,
                run_p95_s=None if lately is None else lately.run.p95_s,
            ),
            limit=None if standing.rule.says_nothing else ShownRule.of(standing.rule),
        )


class QueueList(Shown):
    """All queues, by name."""

    queues: list[ShownQueue]
