"""Checks of limits: those that limit nothing, or let nothing through, and pauses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from butler.checking.findings import ok, warning
from butler.errors import did_you_mean
from butler.limiting import QUEUE_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from butler.checking.findings import Finding
    from butler.storage.limits import LimitRow
    from butler.storage.records import TaskDefinition, WorkerRow

# Longer than executions are kept when they are over, and than anybody waits.
SELDOM_S = 30 * 86_400.0


def check_limits(
    limits: Sequence[LimitRow], tasks: Sequence[TaskDefinition], workers: Sequence[WorkerRow]
) -> Iterator[Finding]:
    """Whether each limit is on something that there is, and lets something through."""
    served = {queue for worker in workers for queue in worker.queues}
    named = {str(task.options.get("queue", "default")) for task in tasks}
    found = [
        finding
        for row in limits
        for finding in (_nameless(row, tasks, served | named), _seldom(row), _paused(row))
        if finding is not None
    ]
    yield from found
    if not found:
        yield ok("limits", f"{len(limits)} names, each with something to limit")


def _nameless(row: LimitRow, tasks: Sequence[TaskDefinition], queues: set[str]) -> Finding | None:
    """What an operator has limited, and nothing runs under."""
    if row.given is None or row.running:
        return None
    if row.kind == "queue":
        queue = row.name.removeprefix(QUEUE_PREFIX)
        if queue in queues:
            return None
        hint = did_you_mean(queue, queues)
        said = f"the queue {queue!r} is limited, which no task names and no worker serves{hint}"
        return warning("limits", said, f"butler queues limit {queue} --remove")
    if row.kind == "task" or any(may_make(task, row.name) for task in tasks):
        return None
    hint = did_you_mean(row.name, [task.name for task in tasks])
    said = f"{row.name!r} is limited, which is no task's name and no task's key{hint}"
    return warning("limits", said, f"butler limits remove {row.name!r}")


def may_make(task: TaskDefinition, name: str) -> bool:
    """Whether executions of this task may fall under this name."""
    limit = task.options.get("limit") or {}
    return bool(limit.get("computed")) or name in limit.get("keys", {}).values()


def _seldom(row: LimitRow) -> Finding | None:
    rate = row.rule.rate
    if rate is None or rate.interval_s <= SELDOM_S:
        return None
    said = f"{row.name!r} may start once in {rate.interval_s / 86_400:,.0f} days ({rate})"
    return warning("limits", said, "what waits for that will hardly run: allow more")


def _paused(row: LimitRow) -> Finding | None:
    if row.paused_at is None:
        return None
    queue = row.name.removeprefix(QUEUE_PREFIX)
    said = f"the queue {queue!r} is paused since {row.paused_at:%Y-%m-%d %H:%M:%S}Z"
    return warning("limits", said, f"butler queues resume {queue}")
