"""`Ring`: the newest events, which every reader reads at its own pace."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from butler.changes import ChangeKind


@dataclass(frozen=True, slots=True)
class Told:
    """An event, and what decides who may be sent it. No ``kind``: everybody is."""

    number: int
    frame: bytes
    kind: ChangeKind | None = None
    execution_id: str = ""
    task: str = ""
    queue: str = ""
    tags: tuple[str, ...] = ()


class Ring:
    """Holds at most ``size`` events, of those with the same key the newest.

    For whoever reads late the others are old news.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._held: dict[Hashable, Told] = {}
        self.lost = 0
        """The number of the last event that had to make room while it was still news."""

    def put(self, key: Hashable, told: Told) -> None:
        """Add one, which has a greater number than any before."""
        self._held.pop(key, None)
        self._held[key] = told
        if len(self._held) > self._size:
            oldest = next(iter(self._held))
            self.lost = self._held.pop(oldest).number

    def after(self, number: int) -> Iterable[Told]:
        """What was added after that, newest first."""
        return takewhile(lambda told: told.number > number, reversed(self._held.values()))
