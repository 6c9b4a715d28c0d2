"""Replacing children that still work: on SIGHUP, and when one has reached a limit.

One at a time and the new one first, so that capacity never falls: only when the replacement serves
is the old one drained.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from butler_workers.children import ChildProcess


class Recycling:
    """A line of children that wait to be replaced; ``start`` makes a new one."""

    def __init__(
        self, children: Mapping[str, ChildProcess], start: Callable[[], ChildProcess]
    ) -> None:
        self._children = children
        self._start = start
        self._old: deque[str] = deque()
        self._replacement: str | None = None

    def add(self, child: ChildProcess) -> None:
        """Replace this child; asking twice is asking once."""
        if child.worker_id not in self._old:
            self._old.append(child.worker_id)

    @property
    def extra(self) -> int:
        """How many children there are beyond the usual number because of this."""
        return 1 if self._replacement is not None else 0

    def step(self) -> None:
        """Do what can be done now; call it often."""
        if not self._old:
            return
        old = self._children.get(self._old[0])
        if old is None or old.draining:
            # It died, or is drained for another reason: whoever saw to that replaces it.
            self._old.popleft()
            self._replacement = None
        elif self._replacement is None or self._replacement not in self._children:
            self._replacement = self._start().worker_id
        elif self._children[self._replacement].ready:
            old.drain(None)
            self._old.popleft()
            self._replacement = None
