"""One worker process: fetcher, slots, completer and ticker around one hand and one lease.

The parts know nothing of each other; this class owns the table of attempts they all look at, and
the few moves that concern several: a claim becomes attempts, an end becomes an ending, a cancel
finds its attempt, a drain takes the parts down in order.

Whose heartbeat keeps it alive is not decided here: a supervisor's (``child.py``) or its own
(``Heart``), for a worker inside another process.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import threading
import time
from typing import TYPE_CHECKING

from butler.clock import SYSTEM_CLOCK
from butler.errors import ButlerError
from butler.hands import Hand
from butler.ids import new_id
from butler.lifecycle import UNKNOWN_TASK, hand_back
from butler.log import log_event
from butler.storage.records import WorkerRegistration
from butler_workers.attempts import GRACE_S, Attempt, Interrupt, hand_back_for_later
from butler_workers.claims import HeldClaims
from butler_workers.colleagues import Colleagues
from butler_workers.completer import Completer, Ending
from butler_workers.enrolment import Enrolment
from butler_workers.fetch import Fetcher
from butler_workers.keyed_claims import KeyedClaims
from butler_workers.lease import LEASE_S, Lease
from butler_workers.life import Life
from butler_workers.notes import Notes
from butler_workers.presence import Presence
from butler_workers.slots import Slots
from butler_workers.started import Vitals
from butler_workers.ticker import Ticker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from butler.app import Butler
    from butler.clock import Clock
    from butler.lifecycle import Transition
    from butler.storage.records import Claimed, HeartbeatReply
    from butler_workers.isolation import ProcessPool
    from butler_workers.started import StartedTable

logger = logging.getLogger(__name__)

INTERRUPTED_GRACE_S = 2.0
FLUSH_S = 10.0


class Worker:
    """Runs executions of some queues in this process until it is drained or lost.

    ``on_alone`` is given ids, with their lists, that must run in a process of their own (without
    it they run here, beside the others), ``on_lost`` is called once
    when the ledger has given this worker up. ``solo`` workers fetch nothing and run what `adopt`
    gives them.
    """

    def __init__(
        self,
        butler: Butler,
        *,
        queues: Sequence[str],
        concurrency: int = 16,
        worker_id: str | None = None,
        supervisor_id: str | None = None,
        solo: bool = False,
        lease_s: float = LEASE_S,
        clock: Clock = SYSTEM_CLOCK,
        on_alone: Callable[[str, str], None] | None = None,
        on_lost: Callable[[], None] | None = None,
        on_shutdown: Callable[[], None] | None = None,
        pool: ProcessPool | None = None,
        started: StartedTable | None = None,
        grace_s: float = GRACE_S,
        hand: Hand | None = None,
        presence: Presence | None = None,
    ) -> None:
        self.id = worker_id or new_id()
        self.name = worker_name(self.id)
        self._butler = butler
        self._queues = tuple(queues)
        self._concurrency = concurrency
        self._solo = solo
        self._clock = clock
        self._report_lost = on_lost or (lambda: None)
        self._attempts: dict[str, Attempt] = {}
        self._lock = threading.Lock()
        self._drain_until = math.inf
        self._grace_s = grace_s
        self.lease = Lease(clock, worker_id=self.id, lease_s=lease_s)
        storage, wire = butler.storage, butler.wire
        self._storage = storage
        self.hand = hand or Hand(
            butler.redis, worker_id=self.id, worker_name=self.name, queues=self._queues
        )
        self.slots = Slots(
            concurrency,
            butler=butler,
            clock=clock,
            on_end=self._ended,
            pool=pool,
            started=started,
            grace_s=grace_s,
        )
        self.life = Life(butler, self.slots)
        self._claims = HeldClaims(
            self._attempts,
            storage=storage,
            slots=self.slots,
            lease=self.lease,
            clock=clock,
            on_queued=lambda entries: wire.push(entries, from_hand=self.id),
        )
        self._colleagues = Colleagues(storage, worker_id=self.id, clock=clock)
        self._notes = Notes(
            attempts=lambda: list(self._attempts.values()), storage=storage, wire=wire
        )
        self._completer = Completer(
            storage=storage,
            notes=self._notes,
            wire=wire,
            hand=self.hand,
            worker_id=self.id,
            on_written=self._written,
        )
        self._fetcher = Fetcher(
            storage=storage,
            wire=wire,
            hand=self.hand,
            slots=self.slots,
            lease=self.lease,
            claims=KeyedClaims(storage, butler.registry),
            queues=self._queues,
            on_claimed=self._claimed,
            on_alone=on_alone or self._run_alone_here,
            on_lost=self.lose,
        )
        self._presence = presence or Presence(
            butler.redis,
            name=self.name,
            queues=self._queues,
            on_stop=self.cancel,
            on_shutdown=on_shutdown or (lambda: None),
        )
        self._enrolment = Enrolment(
            butler,
            self._registration(supervisor_id=supervisor_id),
            hand=self.hand,
            presence=self._presence,
        )
        self._ticker = Ticker(
            attempts=lambda: list(self._attempts.values()),
            notes=self._notes,
            hand=self.hand,
            wire=wire,
            slots=self.slots,
            presence=self._presence,
            clock=clock,
            on_hand_back=self._ended,
            started=started,
            vitals=self._vitals,
        )

    @property
    def idle(self) -> bool:
        """Whether nothing runs here and nothing waits to be written."""
        return not self._attempts and not self._completer.backlog

    def start(self) -> None:
        """Open the lifespan, register with the ledger and begin.

        Raises what the ledger raises, and `ButlerError` when the lifespan does not open.
        """
        self._storage.prepare()
        self.life.begin()
        try:
            self._warm_pool()
            self._enrolment.register()
        except BaseException:
            self.life.end()
            raise
        self.lease.renew(self._clock.monotonic())
        self._enrolment.open_hand()
        self._completer.start()
        self._notes.start()
        self._ticker.start()
        if not self._solo:
            self._fetcher.start()
        log_event(
            logger,
            logging.INFO,
            "worker.started",
            worker=self.name,
            queues=",".join(self._queues),
            tasks=len(self._butler.registry),
            concurrency=self._concurrency,
        )

    def _warm_pool(self) -> None:
        specs = self._butler.registry
        if self.slots.pool and any(spec.options.isolation == "process" for spec in specs):
            self.slots.pool.warm()

    def _registration(self, *, supervisor_id: str | None) -> WorkerRegistration:
        return WorkerRegistration(
            id=self.id,
            name=self.name,
            host=socket.gethostname(),
            pid=os.getpid(),
            supervisor_id=supervisor_id or self.id,
            queues=self._queues,
            tasks=tuple(self._butler.registry.names()),
            concurrency=self._concurrency,
            solo=self._solo,
        )

    def adopt(self, execution_id: str, list_name: str, *, from_worker: str) -> None:
        """Run an execution another worker popped from a list (solo workers only)."""
        if self.hand.adopt(execution_id, from_worker=from_worker):
            self._fetcher.claim([(execution_id, list_name)], solo=True)

    def cancel(self, execution_id: str) -> None:
        """Cancel what runs here, or what is in the hand and not started."""
        attempt = self._attempts.get(execution_id)
        if attempt is not None:
            self.slots.interrupt(attempt, Interrupt.CANCEL, "the execution was cancelled")
            return
        try:
            self._storage.cancel([execution_id])
        except ButlerError as error:
            log_event(logger, logging.WARNING, "cancel.failed", id=execution_id, error=error)

    def on_heartbeat(self, reply: HeartbeatReply, *, sent_at: float) -> None:
        """The ledger's answer to a heartbeat that was sent at this boot time."""
        if reply.lost:
            self.lose()
            return
        self.lease.renew(sent_at)
        for running in reply.running:
            if running.cancel_requested and running.id in self._attempts:
                self.cancel(running.id)
        self._claims.compare(reply.running, sent_at=sent_at)

    def lose(self) -> None:
        """The ledger gave this worker up: end everything, write nothing. Final."""
        with self._lock:
            if self.lease.lost:
                return
            self.lease.lose()
        log_event(logger, logging.ERROR, "worker.lost", worker=self.name)
        for attempt in list(self._attempts.values()):
            self.slots.interrupt(attempt, Interrupt.LOST, "its worker was given up for lost")
        self._report_lost()

    def hurry(self, within_s: float) -> None:
        """Let running attempts go on for at most this long, counted from now."""
        self._drain_until = min(self._drain_until, time.monotonic() + within_s)

    def drain(self, timeout_s: float) -> bool:
        """Fetch no more, let attempts end, then cancel and hand back the rest.

        Returns whether every attempt's end was written: if not, code of a task is still running,
        and only the end of the process lets the others be given to somebody else.
        """
        self.hurry(timeout_s)
        self._fetcher.stop()
        self._wait_until_idle()
        for attempt in self.slots.take_waiting():
            self._ended(attempt, hand_back(attempt.claimed, reason="its worker shut down"))
        left = [attempt for attempt in self._attempts.values() if not attempt.over]
        for attempt in left:
            self.slots.interrupt(attempt, Interrupt.DRAIN, "its worker shuts down")
        if left:
            self._drain_until = time.monotonic() + INTERRUPTED_GRACE_S
            self._wait_until_idle()
        self._ticker.stop()
        self._notes.stop()
        unwritten = self._completer.stop(FLUSH_S)
        if unwritten:
            log_event(
                logger, logging.ERROR, "drain.unwritten", count=len(unwritten), ids=unwritten[:20]
            )
        clean = not self._attempts and not unwritten
        self.life.end()
        self.slots.stop()
        self._enrolment.end(clean=clean)
        log_event(logger, logging.INFO, "worker.drained", worker=self.name, clean=clean)
        return clean

    def _run_alone_here(self, execution_id: str, list_name: str) -> None:
        self._fetcher.claim([(execution_id, list_name)], solo=True)

    def _vitals(self) -> Vitals:
        return Vitals(
            in_flight=self.slots.in_flight,
            backlog=self._completer.backlog,
            ended=self._completer.ended,
        )

    def _claimed(self, won: Sequence[Claimed]) -> None:
        now = self._clock.monotonic()
        limit = self._butler.settings.max_result_bytes
        attempts = []
        for claimed in won:
            spec = self._butler.registry.find(claimed.task)
            if spec is None:
                self._hand_back_unknown(claimed)
                continue
            attempt = Attempt(claimed, spec, claimed_at=now, max_result_bytes=limit)
            attempt.control.slots_taken = self.slots.all_taken
            attempt.control.on_line = self._notes.look
            attempts.append(attempt)
        for attempt in attempts:
            superseded = self._attempts.get(attempt.claimed.id)
            self._attempts[attempt.claimed.id] = attempt
            if superseded is not None:
                # The ledger forgot the first claim (see claims.py); the newer one owns the row.
                self.slots.interrupt(superseded, Interrupt.LOST, "claimed anew")
        self._ticker.wake()
        self.slots.submit(attempts)

    def _hand_back_unknown(self, claimed: Claimed) -> None:
        elsewhere = self._colleagues.know(claimed)
        log_event(
            logger,
            logging.INFO if elsewhere else logging.WARNING,
            "task.unknown",
            id=claimed.id,
            task=claimed.task,
            known_elsewhere=elsewhere,
        )
        transition = hand_back_for_later(claimed, UNKNOWN_TASK, known_elsewhere=elsewhere)
        self._completer.put(Ending(claimed, transition))

    def _ended(self, attempt: Attempt, transition: Transition | None) -> None:
        attempt.over = True
        if transition is None:
            self._forget(attempt)
            return
        attempt.control.end_lines()
        self._completer.put(Ending(attempt.claimed, transition, attempt))

    def _forget(self, attempt: Attempt) -> None:
        if self._attempts.get(attempt.claimed.id) is attempt:
            del self._attempts[attempt.claimed.id]

    def _written(self, ended: Sequence[Claimed]) -> None:
        for claimed in ended:
            attempt = self._attempts.get(claimed.id)
            if attempt is not None and attempt.claimed.claim_token == claimed.claim_token:
                del self._attempts[claimed.id]

    def _wait_until_idle(self) -> None:
        while (
            not self._nothing_to_wait_for()
            and time.monotonic() < self._drain_until
            and not self.lease.lost
        ):
            time.sleep(0.02)

    def _nothing_to_wait_for(self) -> bool:
        """Whether what is left here will not end by itself: its process has to."""
        if self._completer.backlog:
            return False
        now = self._clock.monotonic()
        return all(
            attempt.deadline is not None and now > attempt.deadline + self._grace_s
            for attempt in list(self._attempts.values())
        )


def worker_name(worker_id: str) -> str:
    """How a worker is called in dashboards: host, pid, and the end of its id.

    Never the host's name alone: RQ refuses a name that is still alive in Redis, and a container
    with a fixed name could not restart for minutes after kill -9.
    """
    return f"{socket.gethostname()}.{os.getpid()}.{worker_id[-6:]}"
