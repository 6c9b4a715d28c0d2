"""The small base of every looping service: a thread that ticks until it is stopped.

A tick that raises is logged and tried again with back-off, for ever: an outage of Postgres or Redis
must never end a scheduler, and one broken service must not take the others with it.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from butler.clock import SYSTEM_CLOCK
from butler.errors import QueueUnavailable, StorageUnavailable
from butler.log import log_event

if TYPE_CHECKING:
    from butler.clock import Clock

logger = logging.getLogger(__name__)

FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 2.0


class Service(ABC):
    """Something that is done again and again, in a thread of its own.

    Starting twice, stopping twice and stopping before starting are fine; a service that was
    stopped is not started again.
    """

    name: ClassVar[str]

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._stop_asked = threading.Event()
        self._alarm = threading.Event()
        self._thread: threading.Thread | None = None
        self.ticked_at: float | None = None
        self.failures = 0

    @abstractmethod
    def tick(self, now: float) -> float:
        """Do what is to be done at ``now`` (monotonic); returns seconds until the next tick."""

    def wind_down(self) -> None:  # noqa: B027 - a hook; most services have nothing to do
        """What is left to do when the service ends: nothing, unless a service says so."""

    @property
    def stopping(self) -> bool:
        """Whether a long tick should end early."""
        return self._stop_asked.is_set()

    def start(self) -> None:
        """Begin to tick."""
        if self._thread is None and not self.stopping:
            # A daemon: a call that hangs in a driver must not keep a stopped process alive.
            self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
            self._thread.start()

    def wake(self) -> None:
        """Let the next tick come at once; from any thread."""
        self._alarm.set()

    def ask_to_stop(self) -> None:
        """Let the present tick be the last one; returns at once."""
        self._stop_asked.set()
        self._alarm.set()

    def stop(self, *, timeout_s: float = 5.0) -> bool:
        """End after the present tick; False when that takes longer than ``timeout_s``."""
        self.ask_to_stop()
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        failures = 0
        while not self.stopping:
            try:
                pause_s = self.tick(self._clock.monotonic())
                self.ticked_at = self._clock.monotonic()
            except Exception as error:  # noqa: BLE001 - whatever it is, the service goes on
                failures += 1
                self.failures += 1
                self._log_failure(error, failures)
                pause_s = min(FIRST_BACKOFF_S * 2 ** (failures - 1), LONGEST_BACKOFF_S)
            else:
                if failures:
                    log_event(
                        logger, logging.INFO, "service.recovered", service=self.name, after=failures
                    )
                failures = 0
            # Cleared before the tick: what is heard during it is not lost.
            self._alarm.wait(pause_s)
            self._alarm.clear()
        try:
            self.wind_down()
        except Exception as error:  # noqa: BLE001 - nobody is left to handle it
            self._log_failure(error, 1)

    def _log_failure(self, error: Exception, failures: int) -> None:
        # The 1st, 2nd, 4th, 8th … failure in a row: an outage of a night is not a full disk.
        if failures & (failures - 1):
            return
        outage = isinstance(error, StorageUnavailable | QueueUnavailable)
        log_event(
            logger,
            logging.WARNING if outage else logging.ERROR,
            "service.failed",
            service=self.name,
            failures=failures,
            error=f"{type(error).__name__}: {error}",
        )
        if not outage:
            logger.error("traceback of service %s", self.name, exc_info=error)
