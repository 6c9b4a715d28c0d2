"""The rescuer: executions of workers that fell silent run again (G4), and of no others (G5).

A worker's supervisor raises a counter in its row. The rescuer adds up how long each counter has
stood still while the ledger answered (`StillnessWatch`), and gives the worker up when that reaches
the lease, by a statement that holds only while the counter still stands there. A pause of Postgres,
a clock step, a suspended laptop or a stopped rescuer adds nothing, so it costs nobody his work.

A scheduler that begins to lead knows nothing of what was before: it watches a whole lease first.

Killed between marking a worker lost and ending its attempts, the rescuer leaves a lost worker under
which rows still run; the ledger shows such workers until they have none, and whoever leads sweeps
them. `butler.recovery` says why doing any of it twice is harmless.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar

from butler import lifecycle
from butler.clock import SYSTEM_CLOCK
from butler.errors import QueueUnavailable, StorageUnavailable
from butler.log import log_event
from butler_scheduler.service import Service
from butler_scheduler.stillness import StillnessWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from butler.clock import Clock
    from butler.recovery import Recovery
    from butler.storage.base import Storage
    from butler.storage.records import RunningAttempt, WorkerPulse
    from butler_scheduler.leader import Leader

    Unregister = Callable[[str, Sequence[str]], None]

logger = logging.getLogger(__name__)

WORKER_LEASE_S = 15.0
LOOK_EVERY_S = 0.5
# The supervisor that marked a crashed worker lost is about to say how its attempts ended: that they
# crashed counts against them, that they were lost does not. Only where it died too, we say so.
SWEEP_AFTER_S = 2.0


class Rescuer(Service):
    """Gives up silent workers and puts their work back; acts only while leading.

    ``lease_s`` is how long a worker may be silent. ``unregister`` removes a worker, by its name
    and queues, from what RQ's tools show.
    """

    name: ClassVar[str] = "rescuer"

    def __init__(
        self,
        storage: Storage,
        *,
        recovery: Recovery,
        leader: Leader,
        unregister: Unregister,
        lease_s: float = WORKER_LEASE_S,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(clock=clock)
        self._storage = storage
        self._recovery = recovery
        self._leader = leader
        self._unregister = unregister
        self._lease_s = lease_s
        self._epoch: int | None = None
        self._watch = StillnessWatch(clock)

    def tick(self, now: float) -> float:  # noqa: ARG002 - the watch times each reading by itself
        """Read all counters once, and rescue what has been silent for a lease."""
        epoch = self._leader.epoch()
        if epoch is None:
            return LOOK_EVERY_S
        if epoch != self._epoch:
            self._epoch, self._watch = epoch, StillnessWatch(self._clock)
        self._watch.ask()
        pulses = self._storage.pulses()
        silent_s = self._watch.answer(
            {pulse.id: (pulse.counter, _is_over(pulse)) for pulse in pulses}
        )
        dead = [pulse for pulse in pulses if silent_s[pulse.id] >= self._patience_s(pulse)]
        dead_ids = {pulse.id for pulse in dead}
        self._rescue_all(dead, live={pulse.name for pulse in pulses if pulse.id not in dead_ids})
        return min(LOOK_EVERY_S, self._lease_s / 10)

    def _patience_s(self, pulse: WorkerPulse) -> float:
        return min(SWEEP_AFTER_S, self._lease_s) if _is_over(pulse) else self._lease_s

    def _rescue_all(self, dead: Sequence[WorkerPulse], *, live: set[str]) -> None:
        failure: Exception | None = None
        for pulse in dead:
            if self._leader.epoch() != self._epoch or self.stopping:
                return
            try:
                if _is_over(pulse):
                    self._sweep(pulse)
                elif self._rescue(pulse) and pulse.name not in live:
                    self._unregister_from_rq(pulse)
            except StorageUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - one worker's trouble is not the others'
                failure = failure or error
        if failure is not None:
            raise failure

    def _rescue(self, pulse: WorkerPulse) -> bool:
        def decide(attempt: RunningAttempt) -> lifecycle.Transition:
            return lifecycle.lose(
                attempt, reason=f"worker {pulse.name} was silent for {self._lease_s:g} s"
            )

        ended = self._recovery.recover(
            pulse.id, decide, worker_name=pulse.name, counter=pulse.counter
        )
        if ended is None:
            return False
        self._log("rescuer.rescued", pulse, ended=ended)
        return True

    def _sweep(self, pulse: WorkerPulse) -> None:
        state = "lost" if pulse.lost else "stopped"

        def decide(attempt: RunningAttempt) -> lifecycle.Transition:
            return lifecycle.lose(attempt, reason=f"worker {pulse.name} is {state}")

        ended = self._recovery.end_attempts(pulse.id, decide, worker_name=pulse.name)
        if ended:
            self._log("rescuer.swept", pulse, ended=ended)

    def _unregister_from_rq(self, pulse: WorkerPulse) -> None:
        queues = [row.queues for row in self._storage.workers() if row.id == pulse.id]
        try:
            self._unregister(pulse.name, queues[0] if queues else ())
        except QueueUnavailable as error:
            # RQ's keys expire by themselves: nothing but what dashboards show depends on it.
            log_event(
                logger, logging.WARNING, "rescuer.still_shown", worker=pulse.name, error=error
            )

    def _log(self, event: str, pulse: WorkerPulse, *, ended: int) -> None:
        log_event(logger, logging.INFO, event, worker=pulse.name, worker_id=pulse.id, ended=ended)


def _is_over(pulse: WorkerPulse) -> bool:
    return pulse.lost or pulse.stopped
