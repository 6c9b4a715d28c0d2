"""`Kept`: a dictionary of bounded size that forgets what was put there longest ago."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")


class Kept(Generic[K, V]):
    """For one thread."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._held: dict[K, V] = {}

    def put(self, key: K, value: V) -> None:
        """Keep it as the newest."""
        self._held.pop(key, None)
        self._held[key] = value
        if len(self._held) > self._size:
            del self._held[next(iter(self._held))]

    def get(self, key: K) -> V | None:
        """What is kept there."""
        return self._held.get(key)

    def values(self) -> list[V]:
        """Everything, oldest first."""
        return list(self._held.values())
