"""What a dead worker leaves behind, put back to work.

Two find workers dead: the supervisor, by waitpid, in under a second; and the scheduler's rescuer,
by a heartbeat that stands still, when the whole host is gone. Both end it here, in this order:

1. The ledger marks the worker lost. From then on no claim of its can succeed.
2. Each attempt that runs under its id is ended by a transition (crash or lose), fenced like any
   other: what the worker finished in the meantime stays finished.
3. What is queued again is pushed, out of the dead hand; the rest of the hand goes back as it is.

Killed between any two of these, nothing is lost: the ledger says what is queued, the hand says
what it holds, and whoever comes next does the rest. Doing it twice is harmless.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from butler.changes import state_word
from butler.errors import QueueUnavailable
from butler.executions import TERMINAL, ExecutionStatus
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
        counter: int | None = None,
    ) -> int | None:
        """End a dead worker's attempts and put its hand back; returns how many attempts ended.

        With ``counter`` the worker is only given up if its heartbeat still stands there; None is
        returned when it does not. Raises `StorageUnavailable` when the ledger does not answer;
        a silent Redis is left to the reconciler.
        """
        if not self._storage.lose_worker(worker_id, counter=counter):
            return None
        ended = self.end_attempts(worker_id, decide)
        try:
            self._hands.give_back_all(worker_id)
        except QueueUnavailable as error:
            logger.warning("hand of worker %s not given back yet: %s", worker_id, error)
        return ended

    def end_attempts(self, worker_id: str, decide: Callable[[RunningAttempt], Transition]) -> int:
        """End whatever still runs under a lost worker's id, and push what is queued again."""
        running = self._storage.running(worker_id)
        for first in range(0, len(running), MAX_BATCH):
            batch = [decide(attempt) for attempt in running[first : first + MAX_BATCH]]
            self._end_batch(worker_id, batch)
        return len(running)

    def _end_batch(self, worker_id: str, transitions: Sequence[Transition]) -> None:
        finished = self._storage.finish(transitions)
        queued = [
            item.entry
            for item in finished
            if item.applied and item.entry and item.status is ExecutionStatus.QUEUED
        ]
        over = [item.id for item in finished if item.applied and item.status in TERMINAL]
        try:
            self._wire.push(queued, from_hand=worker_id)
            if over:
                self._wire.publish((execution_id, state_word(over=True)) for execution_id in over)
        except QueueUnavailable as error:
            logger.warning("%d rescued executions not pushed yet: %s", len(queued), error)
