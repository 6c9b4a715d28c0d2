"""The supervisor: children that work, a heartbeat that vouches for them, a funeral when they die.

It knows by waitpid that a child lives, and says so to the ledger; the child's own threads could
not, because a C call that holds the interpreter lock silences them all (a regular expression that
backtracks for eight seconds looks like death). When a child dies, its executions are queued again
in well under a second, without waiting for any lease.

It runs no task, so nothing a task does can take it down. If it dies itself, its children notice
the closed control line and drain.

Signals: SIGTERM and SIGINT drain, a second one hands back at once, a third one kills; SIGHUP
replaces the children one by one.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from butler import systemd
from butler.log import log_event
from butler.pid_one import OrphanReaper
from butler_workers.burst import BurstWatch
from butler_workers.children import ChildProcess
from butler_workers.exits import EXIT_CONFIG, EXIT_OUTAGE, describe_exit, is_orderly
from butler_workers.funerals import LAST_RITES_S, Death, Funerals
from butler_workers.heartbeats import Heartbeats
from butler_workers.probing import SupervisorHealth
from butler_workers.recycling import Recycling
from butler_workers.solos import Solos, Suspect

if TYPE_CHECKING:
    from butler.app import Butler
    from butler_workers.child import ChildConfig

logger = logging.getLogger(__name__)

TICK_S = 0.05
OVERDUE_LOOK_S = 0.25
# From the end of the drain timeout to the end of this process, at most.
DRAIN_SLACK_S = 15.0
# Of that, what is left to hand back what the children held: their time is over before.
LAST_STEPS_S = LAST_RITES_S + 1.0
# A child that is only starting runs nothing, and may wait for the ledger for half a minute.
STARTING_S = 2.0
CRASH_WINDOW_S = 10.0
MAX_BACK_OFF_S = 30.0


class Supervisor:
    """Keeps ``processes`` children running until it is told to stop.

    ``config`` is what each child gets; ids and descriptors in it are filled in. With ``burst`` it
    stops by itself when the queues are empty.
    """

    def __init__(
        self, butler: Butler, config: ChildConfig, *, processes: int, burst: bool = False
    ) -> None:
        self._butler = butler
        self._config = config
        self._processes = processes
        self._children: dict[str, ChildProcess] = {}
        self._selector = selectors.DefaultSelector()
        self._solos = Solos(self._children, lambda: self._start(solo=True))
        self._recycling = Recycling(self._children, lambda: self._start(solo=False))
        self._burst = BurstWatch(butler, config.queues) if burst else None
        self._looked_at = 0.0
        self._funerals = Funerals(butler)
        self._orphans = OrphanReaper()
        self.health = SupervisorHealth(
            self._children, slots=config.concurrency, lease_s=config.lease_s
        )
        self._heartbeats = Heartbeats(butler, self._children, health=self.health)
        self._stop_requests = 0
        self._drain_deadline: float | None = None
        self._drain_asked_at = 0.0
        self._crashes = 0
        self._start_after = 0.0
        self._exit_code = 0
        self._has_served = False

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return bool(self._stop_requests)

    def run(self) -> int:
        """Supervise until stopped and drained; returns the exit code."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._on_signal)
        signal.signal(signal.SIGHUP, self._on_hangup)
        self._funerals.start()
        self._heartbeats.start()
        while not self._over():
            self.health.turn()
            self._start_missing()
            self._hear_children()
            self._replace_overdue()
            self._bury_dead()
            self._orphans.step()
            self._solos.serve(may_start=self._may_start())
            if not self._stop_requests:
                self._recycling.step()
                self._stop_if_done()
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

    def _on_hangup(self, *_: object) -> None:
        log_event(logger, logging.INFO, "supervisor.restarting", children=len(self._working()))
        for child in self._working():
            self._recycling.add(child)

    def _over(self) -> bool:
        return bool(self._stop_requests) and not self._children

    def _start_missing(self) -> None:
        if self._may_start():
            missing = self._processes + self._recycling.extra - len(self._working())
            for _ in range(missing):
                self._start(solo=False)

    def _may_start(self) -> bool:
        return not self._stop_requests and time.monotonic() >= self._start_after

    def _working(self) -> list[ChildProcess]:
        return [c for c in self._children.values() if not c.solo and not c.draining]

    def _stop_if_done(self) -> None:
        if self._burst is None or not all(child.ready for child in self._working()):
            return
        if self._burst.is_over(list(self._children)):
            self.stop()

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
        for child in self._children.values():
            child.line.flush()

    def _on_message(self, child: ChildProcess, message: dict[str, Any]) -> None:
        match message["kind"]:
            case "ready":
                child.ready = True
                self._has_served = True
                self._heartbeats.beat_now()
                child.name = message["name"]
                self._on_ready(child)
            case "alone":
                self._solos.add(Suspect(message["id"], message["list"], child.worker_id))
            case "free":
                self._solos.free(child)
            case "limit":
                log_event(
                    logger, logging.INFO, "child.limit", worker=child.name, limit=message["limit"]
                )
                self._recycling.add(child)

    def _on_ready(self, child: ChildProcess) -> None:
        if child.solo:
            self._solos.free(child)
        elif sum(1 for c in self._working() if c.ready) == self._processes:
            systemd.notify("READY=1")

    def _replace_overdue(self) -> None:
        now = time.monotonic()
        if now - self._looked_at < OVERDUE_LOOK_S:
            return
        self._looked_at = now
        for child in self._children.values():
            overdue = child.overdue(cancel_s=2 * self._config.grace_s)
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
            with contextlib.suppress(KeyError):
                self._selector.unregister(child.line)
            del self._children[worker_id]
            child.line.close()
            self.health.bury(child.started.vitals())
            self._after_exit(child, code)
            child.started.close()

    def _after_exit(self, child: ChildProcess, code: int) -> None:
        # One that had to be killed because it would not drain is no suspect.
        orderly = is_orderly(code) or child.killed
        cause = describe_exit(code)
        level = logging.INFO if code == 0 else logging.ERROR
        log_event(logger, level, "child.ended", pid=child.pid, worker=child.name, cause=cause)
        self._funerals.add(
            Death(
                worker_id=child.worker_id,
                name=child.name,
                queues=self._config.queues,
                cause=None if orderly else cause,
                started=child.started.entries(),
            )
        )
        if code == EXIT_CONFIG and not self._has_served:
            self._exit_code = EXIT_CONFIG
            self._stop_requests = max(self._stop_requests, 1)
        elif child.solo or (orderly and code not in (EXIT_CONFIG, EXIT_OUTAGE)):
            return
        elif time.monotonic() - child.started_at < CRASH_WINDOW_S:
            self._crashes += 1
            # The first few are replaced at once; a child that cannot live is not spun on. Once
            # one has served, new code that cannot start (a bad deploy) must not end the others.
            if self._crashes > self._processes + 2:
                pause_s = min(0.5 * 2.0 ** (self._crashes - self._processes - 2), MAX_BACK_OFF_S)
                self._start_after = time.monotonic() + pause_s
        else:
            self._crashes = 0

    def _drain_if_asked(self) -> None:
        if not self._stop_requests:
            return
        now = time.monotonic()
        slack_s = DRAIN_SLACK_S - LAST_STEPS_S
        if self._drain_deadline is None:
            systemd.notify("STOPPING=1")
            self.health.stopping = True
            self._drain_asked_at = now
            self._drain_deadline = now + self._config.drain_timeout_s + slack_s
            for child in self._children.values():
                child.drain(None)
        elif self._stop_requests == 2:
            self._stop_requests = 3
            self._drain_deadline = now + slack_s
            for child in self._children.values():
                child.drain(0)
        over = now > self._drain_deadline or self._stop_requests > 3
        starting_over = now > self._drain_asked_at + STARTING_S
        for child in self._children.values():
            if over or (starting_over and not child.ready):
                child.kill()
