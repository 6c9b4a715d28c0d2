"""Real workers and schedulers as processes, for tests that kill, stop and watch them."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parent


class Fleet:
    """Starts the real commands; whatever still runs at the end is drained, then killed."""

    def __init__(self, *, redis_url, database_url, folder, app="fleet_app:butler"):
        self.folder = folder
        self.app = app
        self.environment = {
            **os.environ,
            "BUTLER_REDIS_URL": redis_url,
            "BUTLER_DATABASE_URL": database_url,
            "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]),
        }
        # As users start them: what a task prints is to be there in time all the same.
        self.environment.pop("PYTHONUNBUFFERED", None)
        self._processes = []

    def start_worker(self, *options, queues="default", processes=1, concurrency=8, app=None):
        command = ["butler_workers", "--app", app or self.app, "--queues", queues]
        command += ["--processes", str(processes), "--concurrency", str(concurrency), *options]
        return self._start("worker", command)

    def start_scheduler(self, *options):
        return self._start("scheduler", ["butler_scheduler", *options])

    def has_failed(self):
        """Whether a process gave up by itself: waiting for what it should do is in vain."""
        return any((process.poll() or 0) > 0 for process in self._processes)

    def logs(self):
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def end(self):
        for process in self._processes:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGCONT)
                    process.terminate()
        for process in self._processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)

    def _start(self, role, command):
        log = self.folder / f"{role}-{len(self._processes)}.log"
        with log.open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        self._processes.append(process)
        return process


def wait_for(condition, *, timeout_s=60.0, what="", fleet=None):
    """Poll until the condition is true; the logs tell why it did not become so."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline or (fleet and fleet.has_failed()):
            logs = f"\n{fleet.logs()[-6000:]}" if fleet else ""
            raise AssertionError(f"not within {timeout_s:g} s: {what or condition}{logs}")
        time.sleep(0.05)
    return value


def live_workers(butler):
    """The workers the ledger believes alive, as their rows."""
    return [w for w in butler.storage.workers() if not w.lost and w.stopped_at is None]
