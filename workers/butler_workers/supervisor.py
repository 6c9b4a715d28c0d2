"""The supervisor: children that work, a heartbeat that vouches for them, a funeral when they die.

It knows by waitpid that a child lives, and says so to the ledger; the child's own threads could
not, because a C call that holds the interpreter lock silences them all (a regular expression that
backtracks for eight seconds looks like death). When a child dies, its executions are queued again
in well under a second, without waiting for any lease.

It runs no task, so nothing a task does can take it down. If it dies itself, its children notice
the closed control line and drain.

Executions that were running in a child that crashed are suspects; each runs its next attempt
alone in a solo child, one at a time, so that the guilty one can only kill itself.
"""

from __future__ import annotations

import logging
import selectors
import signal
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from butler.log import log_event
from butler_workers.children import ChildProcess
from butler_workers.exits import EXIT_CONFIG, describe_exit, is_orderly
from butler_workers.funerals import Death, Funerals
from butler_workers.heartbeats import Heartbeats

if TYPE_CHECKING:
    from butler.app import Butler
    from butler_workers.child import ChildConfig

logger = logging.getLogger(__name__)

TICK_S = 0.05
OVERDUE_LOOK_S = 0.25
DRAIN_SLACK_S = 15.0
SOLO_IDLE_S = 5.0
SOLO_PATIENCE_S = 0.5
MAX_SOLOS = 32
CRASH_WINDOW_S = 10.0
MAX_BACK_OFF_S = 30.0


class Supervisor:
    """Keeps ``processes`` children running until it is told to stop.

    ``config`` is what each child gets; ids and descriptors in it are filled in.
    """

    def __init__(self, butler: Butler, config: ChildConfig, *, processes: int) -> None:
        self._butler = butler
        self._config = config
        self._processes = processes
        self._children: dict[str, ChildProcess] = {}
        self._selector = selectors.DefaultSelector()
        self._suspects: deque[tuple[str, str, str]] = deque()
        self._solo_free: dict[str, float] = {}
        self._solo_started_at = 0.0
        self._looked_at = 0.0
        self._funerals = Funerals(butler)
        self._heartbeats = Heartbeats(butler, self._children)
        self._stop_requests = 0
        self._drain_deadline: float | None = None
        self._crashes = 0
        self._start_after = 0.0
        self._exit_code = 0

    def run(self) -> int:
        """Supervise until stopped and drained; returns the exit code."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._on_signal)
        self._funerals.start()
        self._heartbeats.start()
        while not self._over():
            self._start_missing()
            self._hear_children()
            self._replace_overdue()
            self._bury_dead()
            self._serve_suspects()
            self._drain_if_asked()
        self._heartbeats.stop()
        self._funerals.stop()
        return self._exit_code

    def stop(self) -> None:
        """Drain; asked twice, hand back at once."""
        self._stop_requests += 1

    def _on_signal(self, signum: int, _frame: object) -> None:
        log_event(logger, logging.INFO, "supervisor.signal", signal=signal.Signals(signum).name)
        self.stop()

    def _over(self) -> bool:
        return bool(self._stop_requests) and not self._children

    def _start_missing(self) -> None:
        if self._stop_requests or time.monotonic() < self._start_after:
            return
        working = sum(1 for c in self._children.values() if not c.solo and not c.draining)
        for _ in range(self._processes - working):
            self._start(solo=False)

    def _start(self, *, solo: bool) -> ChildProcess:
        concurrency = 1 if solo else self._config.concurrency
        child = ChildProcess(replace(self._config, solo=solo, concurrency=concurrency))
        self._children[child.worker_id] = child
        self._selector.register(child.line, selectors.EVENT_READ, child)
        log_event(logger, logging.INFO, "child.started", pid=child.pid, solo=solo)
        return child

    def _hear_children(self) -> None:
        for key, _ in self._selector.select(TICK_S):
            child: ChildProcess = key.data
            messages = child.line.receive()
            if messages is None:
                self._selector.unregister(child.line)
                continue
            for message in messages:
                self._on_message(child, message)

    def _on_message(self, child: ChildProcess, message: dict[str, Any]) -> None:
        match message["kind"]:
            case "ready":
                child.ready = True
                child.name = message["name"]
                if child.solo:
                    self._solo_free[child.worker_id] = time.monotonic()
            case "alone":
                self._suspects.append((message["id"], message["list"], child.worker_id))
            case "free":
                self._solo_free[child.worker_id] = time.monotonic()

    def _serve_suspects(self) -> None:
        now = time.monotonic()
        for worker_id in list(self._solo_free):
            child = self._children.get(worker_id)
            if child is None or child.draining:
                del self._solo_free[worker_id]
            elif self._suspects:
                execution_id, name, holder = self._suspects.popleft()
                child.line.send("adopt", id=execution_id, list=name, from_worker=holder)
                del self._solo_free[worker_id]
            elif now - self._solo_free[worker_id] > SOLO_IDLE_S:
                child.drain(0)
        if self._suspects and not self._stop_requests and now >= self._start_after:
            self._start_solo_if_needed(now)

    def _start_solo_if_needed(self, now: float) -> None:
        """One solo child serves many short suspects in turn; a long one must not hold up others."""
        solos = [c for c in self._children.values() if c.solo and not c.draining]
        starting = any(not child.ready for child in solos)
        if (
            not starting
            and len(solos) < MAX_SOLOS
            and now - self._solo_started_at > SOLO_PATIENCE_S
        ):
            self._solo_started_at = now
            self._start(solo=True)

    def _replace_overdue(self) -> None:
        now = time.monotonic()
        if now - self._looked_at < OVERDUE_LOOK_S:
            return
        self._looked_at = now
        for child in self._children.values():
            overdue = child.started.overdue()
            if not overdue:
                continue
            if not child.draining:
                ids = ",".join(overdue)
                log_event(logger, logging.ERROR, "child.overdue", worker=child.name, ids=ids)
                child.drain(None)
            if child.started.silent and not child.killed:
                log_event(logger, logging.ERROR, "child.silent", worker=child.name)
                child.kill()

    def _bury_dead(self) -> None:
        for worker_id, child in list(self._children.items()):
            code = child.poll()
            if code is None:
                continue
            self._hear_last_words(child)
            del self._children[worker_id]
            child.line.close()
            self._after_exit(child, code)
            child.started.close()

    def _hear_last_words(self, child: ChildProcess) -> None:
        try:
            self._selector.unregister(child.line)
        except KeyError:
            return

    def _after_exit(self, child: ChildProcess, code: int) -> None:
        # One that had to be killed because it would not drain is no suspect.
        orderly = is_orderly(code) or child.killed
        cause = describe_exit(code)
        level = logging.INFO if code == 0 else logging.ERROR
        log_event(logger, level, "child.ended", pid=child.pid, worker=child.name, cause=cause)
        self._funerals.add(
            Death(child.worker_id, None if orderly else cause, child.started.entries())
        )
        if code == EXIT_CONFIG:
            self._exit_code = EXIT_CONFIG
            self._stop_requests = max(self._stop_requests, 1)
        elif not orderly and time.monotonic() - child.started_at < CRASH_WINDOW_S:
            self._crashes += 1
            # The first few are replaced at once; a child that cannot live is not spun on.
            if self._crashes > self._processes + 2:
                pause_s = min(0.5 * 2.0 ** (self._crashes - self._processes - 2), MAX_BACK_OFF_S)
                self._start_after = time.monotonic() + pause_s
        elif not orderly:
            self._crashes = 0

    def _drain_if_asked(self) -> None:
        if not self._stop_requests:
            return
        now = time.monotonic()
        if self._drain_deadline is None:
            self._drain_deadline = now + self._config.drain_timeout_s + DRAIN_SLACK_S
            for child in self._children.values():
                child.drain(None)
        elif self._stop_requests == 2:
            self._stop_requests = 3
            self._drain_deadline = now + DRAIN_SLACK_S
            for child in self._children.values():
                child.drain(0)
        elif now > self._drain_deadline or self._stop_requests > 3:
            for child in self._children.values():
                child.kill()
