"""How each queue stands: what waits, what runs, who serves it, how fast it goes, what holds it."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from butler.errors import QueueUnavailable
from butler.limiting import QUEUE_PREFIX, LimitRule
from butler.monitoring.health.fleet import living
from butler.queue_facts import QueueFacts
from butler.queue_names import DEFAULT_QUEUE
from butler.storage.monitoring_records import INTERNAL_QUEUE

if TYPE_CHECKING:
    from datetime import datetime

    from butler.app import Butler
    from butler.monitoring.stats import StatsSummary
    from butler.storage.limits import LimitRow
    from butler.storage.monitoring_records import LedgerPicture

LATELY = timedelta(minutes=5)
_NO_RULE = LimitRule()


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStanding:
    """One queue; ``oldest_s`` is None where nothing waits, ``lately`` where nothing ended.

    ``depth`` and ``oldest_s`` are of what is queued, and is among the 100,000 of all queues that
    have waited longest; what is due later or waits to be retried is not in them.
    """

    name: str
    depth: int
    oldest_s: float | None
    running: int
    workers: int
    paused_at: datetime | None
    rule: LimitRule
    lately: StatsSummary | None


def queue_standings(butler: Butler, picture: LedgerPicture) -> list[QueueStanding]:
    """All queues, by name; ``picture`` is of this ledger. Redis may be away."""
    waiting = {queue.queue: queue for queue in picture.queues}
    running = Counter(execution.queue for execution in picture.running)
    serving = Counter(queue for worker in living(picture) for queue in set(worker.queues))
    said = {row.name: row for row in butler.storage.limits() if row.kind == "queue"}
    lately = {row.name: row.summary for row in butler.stats.top(by="queue", since=LATELY)}
    limited = {name.removeprefix(QUEUE_PREFIX) for name in said}
    names = {*waiting, *running, *serving, *limited, *lately, *_named(butler)} - {INTERNAL_QUEUE}

    def standing(name: str) -> QueueStanding:
        queue = waiting.get(name)
        waited = None if queue is None else picture.now - queue.oldest_queued_at
        row: LimitRow | None = said.get(QUEUE_PREFIX + name)
        return QueueStanding(
            name=name,
            depth=0 if queue is None else queue.depth,
            oldest_s=None if waited is None else max(0.0, waited.total_seconds()),
            running=running[name],
            workers=serving[name],
            paused_at=None if row is None else row.paused_at,
            rule=_NO_RULE if row is None else row.rule,
            lately=lately.get(name),
        )

    return [standing(name) for name in sorted(names)]


def _named(butler: Butler) -> set[str]:
    """Queues that a task names, or that were ever pushed to or served."""
    tasks = [*butler.storage.task_definitions(), *butler.tasks()]
    names = {task.options.get("queue", DEFAULT_QUEUE) for task in tasks}
    with contextlib.suppress(QueueUnavailable):
        names |= QueueFacts(butler.redis).names()
    return names
