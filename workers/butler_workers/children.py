"""A supervisor's child processes: starting one, talking to it, ending it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from butler.ids import new_id
from butler_workers.control import SupervisorLine
from butler_workers.started import StartedView, table_slots

if TYPE_CHECKING:
    from collections.abc import Iterable

    from butler_workers.child import ChildConfig


class ChildProcess:
    """One child and its control line."""

    def __init__(self, config: ChildConfig) -> None:
        ours, theirs = socket.socketpair()
        theirs.set_inheritable(True)
        self.worker_id = new_id()
        self.solo = config.solo
        self.ready = False
        self.draining = False
        self.killed = False
        self.started_at = time.monotonic()
        self.line = SupervisorLine(ours)
        self.name = ""
        self._cancelled: dict[str, float] = {}
        self.started = StartedView(table_slots(config.concurrency))
        config = replace(
            config,
            worker_id=self.worker_id,
            fd=theirs.fileno(),
            table_fd=self.started.fd,
        )
        # Spawned, not forked: the supervisor has threads, and a child must not share its sockets.
        self._process = subprocess.Popen(  # noqa: S603 - our own module, no shell
            [sys.executable, "-m", "butler_workers.child", config.to_argument()],
            pass_fds=[theirs.fileno(), self.started.fd],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def poll(self) -> int | None:
        """Its exit code (negative: minus the signal), None while it lives."""
        return self._process.poll()

    def note_cancelled(self, execution_ids: Iterable[str]) -> None:
        """What the ledger says was asked to end and runs here still."""
        now = time.monotonic()
        self._cancelled = {id_: self._cancelled.get(id_, now) for id_ in execution_ids}

    def overdue(self, *, cancel_s: float) -> list[str]:
        """Started executions whose time has passed.

        Also those of a child that cannot say anything, because a task holds the interpreter's lock,
        that were cancelled longer than ``cancel_s`` ago: it has not heard of that.
        """
        late = self.started.overdue()
        if self.started.silent:
            now = time.monotonic()
            entries = self.started.entries()
            late |= {
                id_: entries[id_]
                for id_, since in list(self._cancelled.items())
                if now - since > cancel_s and id_ in entries
            }
        return list(late)

    def kill(self) -> None:
        """End it now, as it does not end by itself."""
        self.killed = True
        self._process.kill()

    def drain(self, within_s: float | None) -> None:
        """Ask it to end; within its configured time where None."""
        self.draining = True
        self.line.send("drain", within_s=within_s)
