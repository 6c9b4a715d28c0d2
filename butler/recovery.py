"""What a dead worker leaves behind, put back to work.

Two find workers dead: the supervisor, by waitpid, in under a second; and the scheduler's rescuer,
by a heartbeat that stands still, when the whole host is gone. Both end it here, in this order:

1. The ledger marks the worker lost, or stopped where it ended as it was told to. From then on no
   claim of its can succeed.
2. Each attempt that runs under its id is ended by a transition (crash or lose), fenced like any
   other: what the worker finished in the meantime stays finished.
3. What is queued again is pushed, out of the dead hand; what is over is shown as that; the rest of
   the hand goes back as it is.

Killed between any two of these, nothing is lost: the ledger says what is queued, the hand says
what it holds, and whoever comes next does the rest. Doing it twice is harmless.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from butler.changes import state_word
from butler.errors import QueueUnavailable
from butler.executions import ExecutionStatus
from butler.hands import RQ_STATUS, Hand, Settled
from butler.parks import Parks
from butler.storage.base import MAX_BATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from butler.hands import Hands
    from butler.lifecycle import Transition
    from butler.queues import QueueWire
    from butler.storage.base import Storage
    from butler.storage.records import RunningAttempt

logger = logging.getLogger(__name__)


class Recovery:
    """Puts the work of dead workers back."""

    def __init__(self, storage: Storage, wire: QueueWire, hands: Hands) -> None:
        self._storage = storage
        self._wire = wire
        self._hands = hands

    def recover(
        self,
        worker_id: str,
        decide: Callable[[RunningAttempt], Transition],
        *,
        worker_name: str | None = None,
        counter: int | None = None,
    ) -> int | None:
        """End a dead worker's attempts and put its hand back; returns how many attempts ended.

        By ``worker_name`` RQ's tools know it, and are shown what has ended; None for a guest of an
        RQ worker, which shows that itself. With ``counter`` the worker is only given up if its
        heartbeat still stands there; None is returned when it does not. Raises
        `StorageUnavailable` when the ledger does not answer; a silent Redis is left to the
        reconciler.
        """
        if not self._storage.lose_worker(worker_id, counter=counter):
            return None
        return self._put_back(worker_id, decide, worker_name)

    def dismiss(
        self,
        worker_id: str,
        decide: Callable[[RunningAttempt], Transition],
        *,
        worker_name: str | None = None,
    ) -> int:
        """As `recover`, for a worker that ended as it was told to: it is stopped, and not lost."""
        self._storage.stop_worker(worker_id)
        return self._put_back(worker_id, decide, worker_name)

    def _put_back(
        self,
        worker_id: str,
        decide: Callable[[RunningAttempt], Transition],
        worker_name: str | None,
    ) -> int:
        ended = self.end_attempts(worker_id, decide, worker_name=worker_name)
        try:
            self._hands.give_back_all(worker_id)
        except QueueUnavailable as error:
            logger.warning("hand of worker %s not given back yet: %s", worker_id, error)
        return ended

    def end_attempts(
        self,
        worker_id: str,
        decide: Callable[[RunningAttempt], Transition],
        *,
        worker_name: str | None = None,
    ) -> int:
        """End whatever still runs under a worker's id that is over; push what is queued again."""
        running = self._storage.running(worker_id)
        for first in range(0, len(running), MAX_BATCH):
            batch = [decide(attempt) for attempt in running[first : first + MAX_BATCH]]
            self._end_batch(batch, worker_id, worker_name)
        if running:
            self._wake_parked()
        return len(running)

    def _wake_parked(self) -> None:
        """What they held slots of may have room; the scheduler looks there as well, in a second."""
        try:
            parks = Parks(self._wire.redis)
            parks.settle(self._storage, parks.page(0, MAX_BATCH))
        except QueueUnavailable as error:
            logger.warning("what waits for limits not woken yet: %s", error)

    def _end_batch(
        self, transitions: Sequence[Transition], worker_id: str, worker_name: str | None
    ) -> None:
        finished = self._storage.finish(transitions)
        ended = [
            (item.entry, item.status, transition.error)
            for transition, item in zip(transitions, finished, strict=True)
            if item.applied and item.entry is not None and item.status is not None
        ]
        queued = [entry for entry, status, _ in ended if status is ExecutionStatus.QUEUED]
        over = [end for end in ended if end[1] in RQ_STATUS]
        try:
            self._wire.push(queued, from_hand=worker_id)
            if worker_name is None:
                self._wire.publish(
                    (entry.id, state_word(over=status.finished)) for entry, status, _ in over
                )
            else:
                hand = Hand(self._wire.redis, worker_id=worker_id, worker_name=worker_name)
                hand.settle([Settled.of(*end) for end in over])
                hand.retract([entry for entry, _, _ in ended])
        except QueueUnavailable as error:
            logger.warning("%d rescued executions not pushed yet: %s", len(queued), error)
