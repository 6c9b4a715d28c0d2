"""`Scope`: the part of the executions that somebody may see (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Executions on any of ``queues`` that carry any of ``tags``; an empty one asks for nothing."""

    queues: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()

    @property
    def everything(self) -> bool:
        """Whether nothing is outside of it."""
        return not self.queues and not self.tags

    def holds(self, *, queue: str, tags: Iterable[str]) -> bool:
        """Whether what is on this queue, under these tags, is in it."""
        return self.holds_queue(queue) and (not self.tags or not self.tags.isdisjoint(tags))

    def holds_queue(self, queue: str) -> bool:
        """Whether something on this queue may be in it."""
        return not self.queues or queue in self.queues

    def holds_all_of(self, queue: str) -> bool:
        """Whether everything on this queue is in it, whatever its tags."""
        return not self.tags and self.holds_queue(queue)


EVERYTHING = Scope()
