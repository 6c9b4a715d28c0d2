"""Checks of what waits: how long, how many, and whether it grows (pure)."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import TYPE_CHECKING

from butler.durations import seconds_text
from butler.monitoring.health import limits
from butler.monitoring.health.fleet import unserved
from butler.monitoring.health.verdict import degraded, healthy, unhealthy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from butler.monitoring.health.verdict import HealthCheck
    from butler.storage.monitoring_records import LedgerPicture

MORE_WORKERS = "start more workers, or raise their concurrency"


def check_queues(picture: LedgerPicture) -> Iterator[HealthCheck]:
    """How long what waits has waited. A queue without workers has a check of its own."""
    without_worker = {queue for queue, _, _ in unserved(picture)}
    late = False
    for queue in picture.queues:
        waited_s = (picture.now - queue.oldest_queued_at).total_seconds()
        if queue.queue in without_worker or waited_s < limits.QUEUE_AGE_S:
            continue
        late = True
        words = f"{queue.depth} wait on {queue.queue!r}, the oldest for {seconds_text(waited_s)}"
        make = unhealthy if waited_s >= limits.QUEUE_OLD_S else degraded
        yield make("queue_age", words, MORE_WORKERS, subject=queue.queue)
    if not late:
        waiting = sum(queue.depth for queue in picture.queues)
        yield healthy("queue_age", f"{waiting} wait, none for a minute")


class BacklogWatch:
    """Sees backlogs grow, look by look, and says how long they would take to drain.

    A queue grows when it held more at each of the last `limits.GROWING_LOOKS` looks, and
    `limits.GROWING_BY` more over all of them.
    """

    def __init__(self) -> None:
        self._looks: dict[str, deque[tuple[datetime, int]]] = {}

    def look(self, picture: LedgerPicture) -> list[HealthCheck]:
        """Take another look; the checks of backlogs."""
        depths = {queue.queue: queue.depth for queue in picture.queues}
        for name in list(self._looks):
            if name not in depths:
                del self._looks[name]
        found = []
        for name, depth in depths.items():
            looks = self._looks.setdefault(name, deque(maxlen=limits.GROWING_LOOKS))
            looks.append((picture.now, depth))
            if _grows(looks):
                found.append(_growing(name, looks, picture))
        return found or [healthy("backlog", "no queue grows")]


def _grows(looks: Sequence[tuple[datetime, int]]) -> bool:
    depths = [depth for _, depth in looks]
    rising = all(after > before for before, after in pairwise(depths))
    return (
        len(depths) == limits.GROWING_LOOKS
        and rising
        and depths[-1] - depths[0] >= limits.GROWING_BY
    )


def _growing(
    name: str, looks: Sequence[tuple[datetime, int]], picture: LedgerPicture
) -> HealthCheck:
    (began, before), (now, depth) = looks[0], looks[-1]
    span_s = max((now - began).total_seconds(), 0.001)
    done = sum(e.queue == name and e.finished_at >= began for e in picture.ends)
    drain = (
        f"at {done / span_s:.3g} a second it takes {seconds_text(depth / (done / span_s))} to drain"
        if done
        else "none is being done"
    )
    words = f"{name!r} grew from {before} to {depth} in {seconds_text(span_s)}; {drain}"
    return degraded("backlog", words, MORE_WORKERS, subject=name)
