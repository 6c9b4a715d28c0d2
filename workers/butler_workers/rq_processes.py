"""The processes that run plain RQ jobs, kept beside a supervisor's own children.

They are no children of its: RQ's worker heartbeats, registers and recovers by itself, so nothing
of leases or funerals applies. They are started again when they die, and told to stop when the
supervisor is: first to end after the job at hand, and when the drain has lasted too long, at once.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Self

from butler.log import log_event
from butler_workers.exits import EXIT_CONFIG, describe_exit

if TYPE_CHECKING:
    from collections.abc import Callable

    from butler_workers.rq_jobs import RqJobsConfig

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.1
SHORT_LIFE_S = 10.0
MAX_BACK_OFF_S = 30.0
# RQ takes a second signal for an order only when it comes a second after the first.
COLD_SLACK_S = 2.0
KILL_SLACK_S = 5.0


class RqProcesses:
    """Keeps ``count`` such processes running while it is entered and ``stopping`` says no."""

    def __init__(
        self,
        config: RqJobsConfig,
        *,
        count: int,
        drain_timeout_s: float,
        stopping: Callable[[], bool],
    ) -> None:
        self._config = config
        self._drain_timeout_s = drain_timeout_s
        self._stopping = stopping
        self._leaving = threading.Event()
        self._seats = [_Seat() for _ in range(count)]
        self._thread = threading.Thread(target=self._run, name="butler-rq-jobs", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        self._thread.join()

    def _run(self) -> None:
        while not (self._leaving.is_set() or self._stopping()):
            for seat in self._seats:
                seat.keep(self._config)
            self._leaving.wait(LOOK_EVERY_S)
        self._signal(signal.SIGTERM)
        began = time.monotonic()
        self._wait_until(began + max(self._drain_timeout_s, COLD_SLACK_S))
        # RQ's cold shutdown: the work-horse is killed, and RQ's maintenance deals with its job.
        self._signal(signal.SIGTERM)
        self._wait_until(time.monotonic() + KILL_SLACK_S)
        self._signal(signal.SIGKILL)
        for seat in self._seats:
            seat.end()

    def _wait_until(self, deadline: float) -> None:
        while time.monotonic() < deadline and any(seat.alive for seat in self._seats):
            time.sleep(LOOK_EVERY_S)

    def _signal(self, signum: signal.Signals) -> None:
        for seat in self._seats:
            seat.signal(signum)


class _Seat:
    """Where one process sits, and after it the one that replaces it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._start_after = 0.0
        self._short_lives = 0

    @property
    def alive(self) -> bool:
        """Whether a process sits here."""
        return self._process is not None and self._process.poll() is None

    def keep(self, config: RqJobsConfig) -> None:
        """See to it that one does, with growing pauses where it cannot live."""
        now = time.monotonic()
        if self.alive or now < self._start_after:
            return
        if self._process is not None and self._report_end(self._process, now):
            return
        self._started_at = now
        self._process = subprocess.Popen(  # noqa: S603 - our own module, no shell
            [sys.executable, "-m", "butler_workers.rq_jobs", config.to_argument()],
            stdin=subprocess.PIPE,
        )
        log_event(logger, logging.INFO, "rq_jobs.started", pid=self._process.pid)

    def signal(self, signum: signal.Signals) -> None:
        """Send a signal to a process that lives."""
        if self._process is not None and self.alive:
            self._process.send_signal(signum)

    def end(self) -> None:
        """Take leave of a process that is told to end."""
        if self._process is None:
            return
        code = self._process.wait()
        log_event(logger, logging.INFO, "rq_jobs.ended", cause=describe_exit(code))
        self._close(self._process)
        self._process = None

    def _report_end(self, process: subprocess.Popen[bytes], now: float) -> bool:
        """Take note of a death; True when its replacement has to wait."""
        code = process.wait()
        self._close(process)
        self._process = None
        short = now - self._started_at < SHORT_LIFE_S or code == EXIT_CONFIG
        self._short_lives = self._short_lives + 1 if short else 0
        log_event(logger, logging.ERROR, "rq_jobs.died", pid=process.pid, cause=describe_exit(code))
        if self._short_lives > 1:
            pause_s = min(0.5 * 2.0**self._short_lives, MAX_BACK_OFF_S)
            self._start_after = now + pause_s
        return now < self._start_after

    @staticmethod
    def _close(process: subprocess.Popen[bytes]) -> None:
        if process.stdin is not None:
            process.stdin.close()
