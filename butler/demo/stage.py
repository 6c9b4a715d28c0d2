"""The demo's servers and processes: started in order, ended in order."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Self

from butler.embedded import EmbeddedServices

if TYPE_CHECKING:
    from pathlib import Path

WORKERS = 2
APP = "butler.demo.app:butler"
QUEUE = "demo"
STOP_S = 30.0


class Stage:
    """Embedded servers, two workers and a scheduler; a context manager.

    Everything the processes log goes to files in ``folder``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.services = EmbeddedServices(folder)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self.services.start()
        os.environ["BUTLER_REDIS_URL"] = self.services.redis_url
        os.environ["BUTLER_DATABASE_URL"] = self.services.database_url
        os.environ["BUTLER_MIGRATE"] = "auto"
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
        self.services.stop()

    def start_processes(self) -> None:
        """Start the workers and the scheduler."""
        for number in range(1, WORKERS + 1):
            self._start(
                f"worker-{number}",
                f"butler_workers --app {APP} --queues {QUEUE} --processes 1 --concurrency 8",
            )
        self._start("scheduler", f"butler_scheduler --app {APP}")

    def dead(self) -> list[str]:
        """What ended by itself, and how."""
        return [
            f"{name} ended with {code}"
            for name, process in self._processes.items()
            if (code := process.poll()) is not None
        ]

    def _start(self, name: str, command: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(  # noqa: S603 - our own commands, no shell
                [sys.executable, "-m", *command.split()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
