"""`ForkSafeLock`: a lock that a forked child finds open, whoever held it in the parent."""

from __future__ import annotations

import os
import threading


class ForkSafeLock:
    """A reentrant lock, used as a context manager.

    A thread that holds an ordinary lock does not exist in a forked child, where the lock would
    stay shut for ever: gunicorn forks its workers whatever the application's threads are doing.
    """

    __slots__ = ("_lock", "_pid")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._pid = os.getpid()

    def __enter__(self) -> None:
        if self._pid != os.getpid():
            self._lock = threading.RLock()
            self._pid = os.getpid()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
