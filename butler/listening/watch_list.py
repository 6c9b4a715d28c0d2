"""Who watches which execution, and when the ledger is to be asked about it next."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from butler.listening.watchers import Watcher

FIRST_LOOK_S = 1.0
LONGEST_LOOK_S = 5.0
# Looks that are due soon after each other are one statement.
GATHER_S = 0.25


class WatchList:
    """Watchers by execution; safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[str, _Watched] = {}
        self._fresh: set[str] = set()
        self.next_look = 0.0
        """When `due` next has anything to give, in monotonic seconds (it may be too early)."""

    def __len__(self) -> int:
        return len(self._watched)

    def add(self, watcher: Watcher) -> None:
        """From now on this one watches its execution, which is fresh again."""
        with self._lock:
            watched = self._watched.get(watcher.execution_id)
            if watched is None:
                watched = self._watched[watcher.execution_id] = _Watched()
                self.next_look = min(self.next_look, watched.look_at)
            watched.watchers += (watcher,)
            self._fresh.add(watcher.execution_id)

    def remove(self, execution_id: str, watchers: Collection[Watcher]) -> None:
        """These watch no more; fine when they did not."""
        with self._lock:
            watched = self._watched.get(execution_id)
            if watched is not None:
                left = tuple(w for w in watched.watchers if w not in watchers)
                watched.watchers = left
                if not left:
                    del self._watched[execution_id]

    def of(self, execution_id: str) -> tuple[Watcher, ...]:
        """Who watches this execution."""
        with self._lock:
            watched = self._watched.get(execution_id)
            return () if watched is None else watched.watchers

    def ids(self) -> set[str]:
        """What is watched."""
        with self._lock:
            return set(self._watched)

    def take_fresh(self) -> set[str]:
        """What got a watcher since this was asked last."""
        with self._lock:
            fresh, self._fresh = self._fresh, set()
            return fresh

    def due(self) -> set[str]:
        """What is to be looked at now; its next time is twice as far away, up to five seconds."""
        now = time.monotonic()
        due = set()
        with self._lock:
            next_look = now + LONGEST_LOOK_S
            for execution_id, watched in self._watched.items():
                if watched.look_at <= now + GATHER_S:
                    due.add(execution_id)
                    watched.pause_s = min(watched.pause_s * 2, LONGEST_LOOK_S)
                    watched.look_at = now + watched.pause_s
                next_look = min(next_look, watched.look_at)
            self.next_look = next_look
        return due

    def hurry(self) -> None:
        """Look at everything within a second: something may have been missed."""
        latest = time.monotonic() + FIRST_LOOK_S
        with self._lock:
            for watched in self._watched.values():
                watched.look_at = min(watched.look_at, latest)
                watched.pause_s = FIRST_LOOK_S / 2
            self.next_look = min(self.next_look, latest)


class _Watched:
    """One execution's watchers, and its next look."""

    __slots__ = ("look_at", "pause_s", "watchers")

    def __init__(self) -> None:
        self.watchers: tuple[Watcher, ...] = ()
        self.look_at = time.monotonic() + FIRST_LOOK_S
        self.pause_s = FIRST_LOOK_S
