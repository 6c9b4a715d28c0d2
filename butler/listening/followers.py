"""Who wants to hear of every execution, whichever it is: dashboards, not waits."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from butler.changes import Word
    from butler.storage.base import Storage


# Whose turn has failed is asked again then.
AGAIN_S = 1.0


class Follower(ABC):
    """Hears of all executions. Its methods are called by the listener's thread, one at a time."""

    @abstractmethod
    def connected(self, *, hears: bool) -> None:
        """From now on everything is heard, or nothing; told at first, and when it changes."""

    @abstractmethod
    def heard(self, words: Sequence[tuple[str, Word]]) -> None:
        """These were published, each as (execution id, word); its turn comes at once."""

    @abstractmethod
    def turn(self, storage: Storage) -> float:
        """Do what is due; the seconds until something will be. Raises `StorageUnavailable`."""


class Followers:
    """The followers of one listener; safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seats: dict[Follower, _Seat] = {}

    def __len__(self) -> int:
        return len(self._seats)

    def add(self, follower: Follower) -> None:
        """This one follows from now on, if it did not; its turn comes at once."""
        with self._lock:
            self._seats.setdefault(follower, _Seat()).turn_at = 0.0

    def remove(self, follower: Follower) -> None:
        """This one no longer follows; fine when it did not."""
        with self._lock:
            self._seats.pop(follower, None)

    def connected(self, *, hears: bool) -> None:
        """Tell those for whom it is news."""
        for follower, seat in self._all():
            if seat.hears is not hears:
                seat.hears, seat.turn_at = hears, 0.0
                follower.connected(hears=hears)

    def hear(self, words: Sequence[tuple[str, Word]]) -> None:
        """Tell all of them."""
        if words:
            for follower, seat in self._all():
                seat.turn_at = 0.0
                follower.heard(words)

    @property
    def next_turn(self) -> float:
        """When `take_turns` has something to do, in monotonic seconds."""
        return min((seat.turn_at for _, seat in self._all()), default=float("inf"))

    def take_turns(self, storage: Storage) -> None:
        """Let those act whose turn it is; raises what they raise, and their turn is over."""
        for follower, seat in self._all():
            if seat.turn_at > time.monotonic():
                continue
            # Whoever is added meanwhile wants another turn, which must not be forgotten.
            seat.turn_at = time.monotonic() + AGAIN_S
            pause_s = follower.turn(storage)
            with self._lock:
                if seat.turn_at:
                    seat.turn_at = time.monotonic() + pause_s

    def _all(self) -> list[tuple[Follower, _Seat]]:
        with self._lock:
            return list(self._seats.items())


class _Seat:
    """What is known of one follower."""

    __slots__ = ("hears", "turn_at")

    def __init__(self) -> None:
        self.hears: bool | None = None
        self.turn_at = 0.0
