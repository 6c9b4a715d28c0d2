"""``--burst``: work until the queues are empty, then stop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from butler.errors import QueueUnavailable
from butler.hands import Hands

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from butler.app import Butler

LOOK_EVERY_S = 0.2


class BurstWatch:
    """Sees when nothing waits on the queues and nothing is in the hands of these workers.

    Twice in a row, because an id is in neither for the moment a task enqueues another one.
    """

    def __init__(self, butler: Butler, queues: Sequence[str]) -> None:
        self._butler = butler
        self._queues = queues
        self._looked_at = 0.0
        self._empty_looks = 0

    def is_over(self, workers: Iterable[str]) -> bool:
        """Whether everything is done; looks at Redis now and then."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_EVERY_S:
            return False
        self._looked_at = now
        try:
            hands = Hands(self._butler.redis)
            waiting = any(self._butler.wire.depth(queue) for queue in self._queues)
            held = any(hands.ids(worker_id) for worker_id in workers)
        except QueueUnavailable:
            return False
        self._empty_looks = 0 if waiting or held else self._empty_looks + 1
        return self._empty_looks > 1
