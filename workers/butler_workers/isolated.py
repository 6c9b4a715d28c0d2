"""``isolation="process"``, the process's side: runs one attempt after another, in its main thread.

In the main thread, because only there a signal handler can raise: an interrupt then reaches a task
that sleeps or waits for a socket, which an exception thrown into a thread does not. It ends with
its line: when the worker dies, so does this.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import socket
import sys
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from butler.app_loading import load_app
from butler.clock import SYSTEM_CLOCK
from butler.errors import AttemptCancelled, TaskTimeout
from butler.flushing import flush_traces
from butler.log import configure_logging, print_at_once
from butler_workers.attempts import Attempt, Interrupt
from butler_workers.control import ControlLine
from butler_workers.life import Life
from butler_workers.slots import Slots
from butler_workers.transition_form import claimed_from_json, transition_to_json

if TYPE_CHECKING:
    from types import FrameType

    from butler.app import Butler
    from butler.lifecycle import Transition
    from butler.log_buffer import Entry

PROGRESS_EVERY_S = 0.1
MIB = 1024 * 1024


class IsolatedRunner:
    """Runs what comes over the line until the line ends."""

    def __init__(self, butler: Butler, line: ControlLine) -> None:
        self._butler = butler
        self._line = line
        self._work: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._current: Attempt | None = None
        self._ended = threading.Event()
        self._slots = Slots(1, butler=butler, clock=SYSTEM_CLOCK, on_end=self._on_end)
        self._life = Life(butler, self._slots)

    def run(self) -> None:
        """Serve; returns never, the process ends with the line."""
        self._life.begin()
        signal.signal(signal.SIGUSR1, self._raise_interrupt)
        threading.Thread(target=self._listen, name="butler-line", daemon=True).start()
        self._line.send("ready")
        while True:
            self._run_one(self._work.get())

    def _run_one(self, message: dict[str, Any]) -> None:
        claimed = claimed_from_json(message["claimed"])
        spec = self._butler.registry.get(claimed.task)
        limit = self._butler.settings.max_result_bytes
        now = SYSTEM_CLOCK.monotonic()
        attempt = Attempt(claimed, spec, claimed_at=now, max_result_bytes=limit)
        attempt.control.send_lines_to(self._send_line)
        self._ended.clear()
        threading.Thread(target=self._report, args=[attempt], daemon=True).start()
        _limit_memory(message["memory_limit_mb"])
        try:
            self._current = attempt
            if spec.is_async:
                self._slots.submit([attempt])
                self._ended.wait()
            else:
                self._slots.run_here(attempt)
        except (TaskTimeout, AttemptCancelled):
            # The signal came between the attempt's end and this line; its end has been sent.
            self._ended.wait()
        finally:
            self._current = None
            _limit_memory(None)

    def _on_end(self, attempt: Attempt, transition: Transition | None) -> None:
        self._current = None
        attempt.control.end_lines()
        self._send_progress(attempt)
        form = None if transition is None else transition_to_json(transition)
        self._line.send("ended", transition=form)
        self._ended.set()

    def _listen(self) -> None:
        for message in self._line:
            if message["kind"] == "run":
                self._work.put(message)
            else:
                self._interrupt(Interrupt(message["interrupt"]), message["reason"])
        # A task that still runs may be given to somebody else any moment: then be gone at once.
        if self._current is None:
            self._life.end()
        flush_traces()
        os._exit(0)

    def _interrupt(self, kind: Interrupt, reason: str) -> None:
        attempt = self._current
        if attempt is None:
            return
        self._slots.interrupt(attempt, kind, reason)
        if not attempt.spec.is_async:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    def _raise_interrupt(self, _signum: int, _frame: FrameType | None) -> None:
        attempt = self._current
        if attempt is None or attempt.over:
            return
        if attempt.interrupt is Interrupt.TIMEOUT:
            raise TaskTimeout(attempt.control.reason)
        raise AttemptCancelled(attempt.control.reason or "interrupted")

    def _report(self, attempt: Attempt) -> None:
        while not self._ended.wait(PROGRESS_EVERY_S):
            self._send_progress(attempt)

    def _send_progress(self, attempt: Attempt) -> None:
        progress = attempt.control.take_progress()
        if progress is not None:
            self._line.send("progress", percent=progress[0], message=progress[1])
        # Lines have gone already: what is left to be taken is how many were cut.
        for mark in attempt.control.take_lines():
            self._line.send("line", entry=mark)

    def _send_line(self, entry: Entry) -> None:
        """At once: a crash must not lose what was said before it."""
        # An interrupt that raises in the middle would leave half a message on the line.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        try:
            self._line.send("line", entry=entry)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _limit_memory(limit_mb: int | None) -> None:
    """Bound the private memory of this process; None lifts the bound."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = hard if limit_mb is None else limit_mb * MIB
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def main() -> None:
    """Entry of ``python -m butler_workers.isolated APP APP_DIR LOG_LEVEL FORM WORKER FD``."""
    app, app_dir, log_level, form, worker, fd = sys.argv[1:]
    configure_logging(log_level, form=form, worker=worker or None)
    print_at_once()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    line = ControlLine(socket.socket(fileno=int(fd)))
    try:
        IsolatedRunner(load_app(app, app_dir or None), line).run()
    finally:
        flush_traces()
        logging.shutdown()


if __name__ == "__main__":
    main()
