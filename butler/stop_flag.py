"""`StopFlag`: what a process waits on until a signal, or one of its threads, tells it to stop.

A plain ``threading.Event`` fails here twice. Its `set` takes a lock that the waiting thread may
hold at the very moment the signal's handler runs in it: the process hangs for good. And a wait
without end may never hear of the signal at all: the kernel hands it to any thread of the process,
Python runs handlers in the main thread only, and nothing wakes that one from a lock it sleeps on.
"""

from __future__ import annotations

import queue
import time

# How soon a signal is heard that another thread was given.
HEAR_EVERY_S = 0.5


class StopFlag:
    """Set once, from any thread and any signal handler.

    Meant for one thread that waits; a second one may hear of it `HEAR_EVERY_S` late.
    """

    def __init__(self) -> None:
        # Its put may be called whatever the interrupted thread is doing, unlike any lock.
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._set = False

    def set(self) -> None:
        """Let `wait` return; may be called often."""
        self._set = True
        self._wakes.put(None)

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._set

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is set, at most ``timeout_s`` seconds; returns whether it is."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._set:
            left_s = HEAR_EVERY_S if until is None else until - time.monotonic()
            if left_s <= 0:
                break
            try:
                self._wakes.get(timeout=min(HEAR_EVERY_S, left_s))
            except queue.Empty:
                continue
        return self._set
