"""`Notes`: what attempts say while they run, how far they are and what they log, for the ledger.

A thread of its own, because the ledger may keep it waiting for half a minute, and the ticker, which
interrupts what is overdue, must not wait with it. One statement each for the progress and for the
lines of all attempts, at most four times a second; for lines ten times, while somebody hears of
them. The first line after a pause is written and told at once.

Lines are told when they are written, never before: whoever has heard of one can come back for what
follows it, and finds it in the ledger. Rejected: telling them at once and writing them later, so
that a client's place might be one that the ledger does not have yet.

Guarantee: when the end of an attempt is in the ledger, what it said before is there too, unless the
ledger refused it. So the completer writes the last of it itself, before the ends; and it waits for
a write of this thread that is under way, which may hold lines of an attempt that has ended since.
What a process that is killed did not write yet is lost.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import TYPE_CHECKING

from butler.changes import log_words
from butler.errors import QueueUnavailable, StorageUnavailable
from butler.log import log_event
from butler.log_buffer import MARK_NUMBER
from butler.storage.base import MAX_BATCH
from butler.storage.logs import LogLine
from butler.storage.records import ProgressReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from butler.log_buffer import Entry
    from butler.queues import QueueWire
    from butler.storage.base import Storage
    from butler.storage.records import Claimed
    from butler_workers.attempts import Attempt

logger = logging.getLogger(__name__)

PAUSE_S = 0.25
HEARD_PAUSE_S = 0.1
SILENT_S = 5.0
STOP_S = 2.0


class Notes:
    """Writes the progress and the log lines of attempts; tells the lines to whoever follows."""

    def __init__(
        self,
        *,
        attempts: Callable[[], Iterable[Attempt]],
        storage: Storage,
        wire: QueueWire,
    ) -> None:
        self._attempts = attempts
        self._storage = storage
        self._wire = wire
        self._writing = threading.Lock()
        self._tell_at = 0.0
        self._heard = False
        self._progress_at = 0.0
        # Not an event, whose lock would be lost when a time-out is thrown into the task that logs.
        self._due: SimpleQueue[None] = SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="butler-notes", daemon=True)

    def start(self) -> None:
        """Begin to write what running attempts say."""
        self._thread.start()

    def look(self) -> None:
        """There are attempts, which may have said something; never blocks, takes no lock."""
        if self._due.empty():
            self._due.put(None)

    def stop(self) -> None:
        """Write what is there, also of attempts that go on, then end."""
        self._stopping.set()
        self._due.put(None)
        if self._thread.is_alive():
            self._thread.join(STOP_S)
        self._write_safely(self._attempts(), progress=True)

    def write(self, attempts: Iterable[Attempt], *, progress: bool = True) -> None:
        """Write what these have said since; raises `StorageUnavailable`, and keeps the lines."""
        said = [a for a in attempts if a.control.has_lines or a.control.has_progress]
        if not said:
            return
        with self._writing:
            if progress:
                self._write_progress(said)
            # Told before the lock is given up: no word about an end may overtake it.
            self._tell(self._write_lines(said))

    def _run(self) -> None:
        while True:
            self._due.get()
            if self._stopping.is_set():
                return
            now = time.monotonic()
            progress = now >= self._progress_at
            if progress:
                self._progress_at = now + PAUSE_S
            running = [attempt for attempt in self._attempts() if not attempt.over]
            self._write_safely(running, progress=progress)
            self._stopping.wait(HEARD_PAUSE_S if self._heard else PAUSE_S)

    def _write_safely(self, attempts: Iterable[Attempt], *, progress: bool) -> None:
        try:
            self.write(attempts, progress=progress)
        except StorageUnavailable as error:
            log_event(logger, logging.WARNING, "notes.not_written", error=error)
        except Exception:
            logger.exception("notes.failed; going on")

    def _write_progress(self, attempts: Iterable[Attempt]) -> None:
        reports = [
            progress_report(attempt.claimed, progress)
            for attempt in attempts
            if (progress := attempt.control.take_progress()) is not None
        ]
        if reports:
            self._storage.report_progress(reports)

    def _write_lines(self, attempts: Iterable[Attempt]) -> list[LogLine]:
        taken = [
            (attempt, entries) for attempt in attempts if (entries := attempt.control.take_lines())
        ]
        lines = [line for attempt, entries in taken for line in log_lines(attempt.claimed, entries)]
        try:
            for first in range(0, len(lines), MAX_BATCH):
                self._storage.write_logs(lines[first : first + MAX_BATCH])
        except StorageUnavailable:
            for attempt, entries in taken:
                attempt.control.return_lines(entries)
            raise
        return lines

    def _tell(self, lines: Sequence[LogLine]) -> None:
        if not lines or time.monotonic() < self._tell_at:
            return
        try:
            self._heard = self._wire.publish(log_words(lines))
        except QueueUnavailable as error:
            # Ends must not wait for a silent Redis each time.
            self._tell_at = time.monotonic() + SILENT_S
            log_event(logger, logging.WARNING, "notes.not_told", error=error)


def log_lines(claimed: Claimed, entries: Iterable[Entry]) -> list[LogLine]:
    """What an attempt has logged, as the ledger keeps it."""
    return [
        LogLine(
            execution_id=claimed.id,
            attempt=claimed.attempt,
            number=number,
            at=datetime.fromtimestamp(created, UTC),
            level=level,
            logger=name,
            message=message,
            cut=number == MARK_NUMBER,
        )
        for number, created, level, name, message in entries
    ]


def progress_report(claimed: Claimed, progress: tuple[float, str | None]) -> ProgressReport:
    """How far an attempt is, as the ledger keeps it."""
    return ProgressReport(
        execution_id=claimed.id,
        attempt=claimed.attempt,
        claim_token=claimed.claim_token,
        percent=progress[0],
        message=progress[1],
    )
