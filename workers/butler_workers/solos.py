"""Suspects and the solo children that run them.

Executions that were running in a child that crashed are suspects; each runs its next attempt
alone, so that the guilty one can only kill itself. One solo child serves short suspects in turn;
as long as suspects wait and all solo children are taken, another one is started, because a long
innocent suspect must not hold up the others.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from butler_workers.children import ChildProcess

IDLE_S = 5.0
PATIENCE_S = 0.5
MAX_SOLOS = 32


@dataclass(frozen=True, slots=True)
class Suspect:
    """An execution that must run alone, and the worker whose hand holds it."""

    execution_id: str
    list_name: str
    holder: str


class Solos:
    """Gives suspects to free solo children; ``start`` makes one more."""

    def __init__(
        self, children: Mapping[str, ChildProcess], start: Callable[[], ChildProcess]
    ) -> None:
        self._children = children
        self._start = start
        self._suspects: deque[Suspect] = deque()
        self._free_since: dict[str, float] = {}
        self._started_at = 0.0

    def add(self, suspect: Suspect) -> None:
        """An execution must run alone."""
        self._suspects.append(suspect)

    def free(self, child: ChildProcess) -> None:
        """A solo child can take a suspect."""
        self._free_since[child.worker_id] = time.monotonic()

    def serve(self, *, may_start: bool) -> None:
        """Give out suspects, end solo children nobody needs, start one when all are taken."""
        now = time.monotonic()
        for worker_id, since in list(self._free_since.items()):
            child = self._children.get(worker_id)
            if child is None or child.draining:
                del self._free_since[worker_id]
            elif self._suspects:
                del self._free_since[worker_id]
                suspect = self._suspects.popleft()
                child.line.send(
                    "adopt",
                    id=suspect.execution_id,
                    list=suspect.list_name,
                    from_worker=suspect.holder,
                )
            elif now - since > IDLE_S:
                child.drain(0)
        if self._suspects and may_start and now - self._started_at > PATIENCE_S:
            self._start_another(now)

    def _start_another(self, now: float) -> None:
        solos = [child for child in self._children.values() if child.solo and not child.draining]
        if len(solos) < MAX_SOLOS and all(child.ready for child in solos):
            self._started_at = now
            self._start()
