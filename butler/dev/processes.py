"""`DevProcesses`: a worker and a scheduler of one application, restarted and ended together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

END_S = 10.0
# Somebody who saves a file waits for the new code, not for the old one's work: it is handed back.
DRAIN_S = 1.0


class DevProcess:
    """One of our commands as a process; what it logs goes to this terminal."""

    def __init__(self, module: str, options: Sequence[str], settings: Mapping[str, str]) -> None:
        self._command = [sys.executable, "-m", module, *options]
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def ended_with(self) -> int | None:
        """The exit code, once it has ended."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start it; it must not run."""
        environment = {**os.environ, **self._settings}
        # A group of its own: Ctrl-C is for us, and we end it in good order.
        self._process = subprocess.Popen(  # noqa: S603 - our own commands, no shell
            self._command, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
        )

    def ask_to_end(self) -> None:
        """SIGTERM, without waiting."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        """End it in good order, or else by force."""
        self.ask_to_end()
        if self._process is None:
            return
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
