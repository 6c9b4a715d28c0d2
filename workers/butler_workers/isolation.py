"""``isolation="process"``, the worker's side: a pool of warm processes, one attempt in each.

A segfault, ``os._exit``, a kill or too much memory ends the attempt with its reason and never the
worker. A process that ended its attempt in good order is used again; one that died, was killed or
ran into an interrupt is not.

Processes are spawned, not forked: a worker has threads, and a fork of those inherits locks that
nobody will release. To hide the half second a start costs, one more is started whenever the last
idle one is taken. What a burst has left is ended when it has been idle for a while: each has the
memory of an interpreter with the application in it. The time limit of an attempt counts from when
its process is ready.

The slot's thread waits for the process. An interrupt reaches the task as an exception in its main
thread; when it is still running ``grace_s`` later, the process is killed.
"""

from __future__ import annotations

import contextlib
import random
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from butler.clock import SYSTEM_CLOCK
from butler.errors import AttemptCancelled
from butler.executions import AttemptOutcome, ErrorRecord
from butler.lifecycle import fail_or_retry, hand_back
from butler_workers.attempts import GRACE_S, Interrupt, Raised, conclude
from butler_workers.control import ControlLine
from butler_workers.exits import describe_exit
from butler_workers.life import CLOSE_S
from butler_workers.transition_form import claimed_to_json, transition_from_json

if TYPE_CHECKING:
    from butler.lifecycle import Transition
    from butler_workers.attempts import Attempt

POLL_S = 0.5
IDLE_S = 60.0
START_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolationConfig:
    """What an isolated process needs to load the application."""

    app: str
    app_dir: str | None
    log_level: str
    log_format: str = "console"
    worker: str | None = None
    grace_s: float = GRACE_S


class IsolatedProcess:
    """One process that runs one attempt at a time."""

    def __init__(self, config: IsolationConfig) -> None:
        ours, theirs = socket.socketpair()
        arguments = [
            config.app,
            config.app_dir or "",
            config.log_level,
            config.log_format,
            config.worker or "",
            str(theirs.fileno()),
        ]
        self.line = ControlLine(ours)
        self.ready = False
        self.ending = False
        self.idle_since = 0.0
        # The line is its lifeline: it ends when the worker does.
        self._process = subprocess.Popen(  # noqa: S603 - our own module, no shell
            [sys.executable, "-m", "butler_workers.isolated", *arguments],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def interrupt(self, kind: Interrupt, reason: str) -> None:
        """Raise in the task it runs."""
        self.line.send("interrupt", interrupt=kind.value, reason=reason)

    def hang_up(self) -> None:
        """Let it close what the application has opened in it, and end; not if it is still starting.

        Only while it runs nothing.
        """
        if self.ready or any(message["kind"] == "ready" for message in self.receive(0) or ()):
            self.ending = True
            self.line.close()

    def kill(self) -> int:
        """End it now, or soon if it was hung up; returns its exit code."""
        if self.ending:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(CLOSE_S + POLL_S)
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        code = self._process.wait()
        self.line.close()
        return code

    def wait_dead(self) -> int:
        """Its exit code, once its end of the line is closed."""
        try:
            return self._process.wait(POLL_S)
        except subprocess.TimeoutExpired:
            return self.kill()

    def receive(self, timeout_s: float) -> list[dict[str, Any]] | None:
        """Messages that come in time; None when it is dead."""
        # Not by `select`, which knows no descriptor above 1023: a thousand slots have more.
        waiting = select.poll()
        waiting.register(self.line, select.POLLIN)
        return self.line.receive() if waiting.poll(timeout_s * 1000) else []


class ProcessPool:
    """Hands attempts to isolated processes; `run` blocks the calling slot until one has ended."""

    def __init__(self, config: IsolationConfig) -> None:
        self._config = config
        self._idle: list[IsolatedProcess] = []
        self._busy: set[IsolatedProcess] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def warm(self) -> None:
        """Have an idle process, so that the next attempt need not wait for a start."""
        with self._lock:
            if not self._idle and not self._stopped:
                self._idle.append(IsolatedProcess(self._config))

    def run(self, attempt: Attempt) -> Transition | None:
        """Run one attempt in a process; returns how it ended."""
        process = self._take()
        reusable = False
        try:
            self.warm()
            if not self._wait_ready(process):
                return self._not_started(attempt, process)
            with attempt.lock:
                attempt.process = process
                if attempt.interrupt is not None:
                    return _interrupted(attempt)
                attempt.start_clock(SYSTEM_CLOCK.monotonic())
            process.line.send(
                "run",
                claimed=claimed_to_json(attempt.claimed),
                memory_limit_mb=attempt.spec.options.memory_limit_mb,
            )
            transition, reusable = self._watch(attempt, process)
            return transition
        finally:
            with attempt.lock:
                attempt.process = None
            self._give_back(process, reusable=reusable)

    def shrink(self) -> None:
        """End what has been idle for `IDLE_S`, all but one; called now and then, it never waits."""
        if len(self._idle) < 2:
            return
        with self._lock:
            # The last one is taken first, so the first has been idle for longest.
            until = time.monotonic() - IDLE_S
            old = [process for process in self._idle[:-1] if 0 < process.idle_since < until]
            self._idle = [process for process in self._idle if process not in old]
        for process in old:
            process.hang_up()
            threading.Thread(target=process.kill, name="butler-shrink", daemon=True).start()

    def stop(self) -> None:
        """End every process; attempts that still run in one are not ended by this."""
        with self._lock:
            self._stopped = True
            idle, processes = list(self._idle), [*self._busy, *self._idle]
            self._idle.clear()
        for process in idle:
            process.hang_up()
        for process in processes:
            process.kill()

    def _take(self) -> IsolatedProcess:
        with self._lock:
            process = self._idle.pop() if self._idle else IsolatedProcess(self._config)
            self._busy.add(process)
        return process

    def _give_back(self, process: IsolatedProcess, *, reusable: bool) -> None:
        with self._lock:
            self._busy.discard(process)
            if reusable and not self._stopped:
                process.idle_since = time.monotonic()
                self._idle.append(process)
                return
        process.kill()

    @staticmethod
    def _wait_ready(process: IsolatedProcess) -> bool:
        deadline = time.monotonic() + START_S
        while not process.ready and time.monotonic() < deadline:
            messages = process.receive(POLL_S)
            if messages is None:
                return False
            process.ready = any(message["kind"] == "ready" for message in messages)
        return process.ready

    def _watch(self, attempt: Attempt, process: IsolatedProcess) -> tuple[Transition | None, bool]:
        interrupted_at: float | None = None
        while True:
            messages = process.receive(POLL_S)
            if messages is None:
                return self._died(attempt, process), False
            for message in messages:
                if message["kind"] == "line":
                    number, created, level, name, text = message["entry"]
                    attempt.control.receive_line((number, created, level, name, text))
                elif message["kind"] == "progress":
                    attempt.control.report(message["percent"], message["message"])
                elif message["kind"] == "ended":
                    form = message["transition"]
                    return transition_from_json(form) if form else None, attempt.interrupt is None
            if attempt.interrupt is not None:
                interrupted_at = interrupted_at or time.monotonic()
                lost = attempt.interrupt is Interrupt.LOST
                if lost or time.monotonic() - interrupted_at >= self._config.grace_s:
                    process.kill()
                    return _interrupted(attempt), False

    @staticmethod
    def _died(attempt: Attempt, process: IsolatedProcess) -> Transition | None:
        if attempt.interrupt is not None:
            return _interrupted(attempt)
        code = process.wait_dead()
        hint = "; out of memory?" if code == -signal.SIGKILL else ""
        return fail_or_retry(
            attempt.claimed,
            error=ErrorRecord(
                type="ProcessCrashed", message=f"its process died: {describe_exit(code)}{hint}"
            ),
            policy=attempt.spec.options.retry,
            random=random.random(),  # noqa: S311 - spreads retries
            outcome=AttemptOutcome.CRASHED,
        )

    def _not_started(self, attempt: Attempt, process: IsolatedProcess) -> Transition:
        reason = f"no isolated process came up: {describe_exit(process.kill())}"
        return hand_back(attempt.claimed, reason=reason, delay_s=5.0)


def _interrupted(attempt: Attempt) -> Transition | None:
    error = AttemptCancelled("its process was ended")
    return conclude(attempt, Raised(error), random=random.random())  # noqa: S311
