"""What a process owes as PID 1, which it is in a container that has no init.

Two rules of the kernel hold for PID 1 alone. A signal it has no handler for is dropped: a SIGTERM
while a worker is still importing its application would be lost, and the container killed a minute
later. And it inherits every orphan: an isolated process whose worker was killed, or what a task
left running. Nobody else can wait for those, and each keeps its process id until somebody does.

Rejected: an init such as tini in the image. It would be one more thing that has to be there on
every platform, and people build images of their own. Rejected: ``waitpid(-1)``, which takes the
exit codes of the children that the process waits for itself.

Away from PID 1 all of this does nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_EVERY_S = 2.0


def is_pid_one() -> bool:
    """Whether this process is the first of its container."""
    return os.getpid() == 1


def obey_sigterm() -> None:
    """As PID 1, end at SIGTERM with exit code 0 until a handler of one's own is installed.

    At once, as the kernel ends any other process: a `SystemExit` would be raised in the midst of an
    import, and code that turns exceptions into others makes exit code 1 of it.
    """
    if is_pid_one():
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))


class OrphanReaper:
    """Lets orphans go that have ended; call `step` often, from the loop that polls one's children.

    A dead child that is still there at the second look is an orphan: whoever started it polls it
    more often than every `LOOK_EVERY_S`.
    """

    def __init__(
        self,
        *,
        active: bool | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._active = is_pid_one() if active is None else active
        self._monotonic = monotonic
        self._looked_at = monotonic()
        self._dead: set[int] = set()

    def step(self) -> list[int]:
        """Reap what has been dead since the last look; returns the process ids."""
        now = self._monotonic()
        if not self._active or now - self._looked_at < LOOK_EVERY_S:
            return []
        self._looked_at = now
        dead = _dead_children()
        orphans = sorted(dead & self._dead)
        for pid in orphans:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        self._dead = dead.difference(orphans)
        return orphans


def _dead_children() -> set[int]:
    """Children of this process that have ended and that nobody has waited for."""
    return {
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _is_dead_child(int(entry.name))
    }


def _is_dead_child(pid: int) -> bool:
    try:
        # WNOWAIT only looks: the exit code stays for whoever waits for it.
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False
