"""Whether the ledger and this process agree on what runs here; compared at every heartbeat.

They can differ in two ways, and each has one remedy:

- A row runs under this worker's id, and nothing here does: the answer to its claim never arrived
  and was not repeated in time. After a whole lease it is handed back.
- Something runs here, and the ledger does not know: claims commit asynchronously, and a crash of
  Postgres takes the last ones back. It is claimed again under the same token, before anybody else
  is given the work; if somebody was, it is ended here.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from butler.executions import ExecutionStatus
from butler.lifecycle import hand_back
from butler.log import log_event
from butler.storage.records import Claim
from butler_workers.attempts import Interrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from butler.clock import Clock
    from butler.storage.base import Storage
    from butler.storage.records import QueueEntry, RunningAttempt
    from butler_workers.attempts import Attempt
    from butler_workers.lease import Lease
    from butler_workers.slots import Slots

logger = logging.getLogger(__name__)

TIMES_MISSING = 2


class HeldClaims:
    """Compares the attempts of one worker with the rows that run under its id."""

    def __init__(
        self,
        attempts: Mapping[str, Attempt],
        *,
        storage: Storage,
        slots: Slots,
        lease: Lease,
        clock: Clock,
        on_queued: Callable[[Sequence[QueueEntry]], object],
    ) -> None:
        self._on_queued = on_queued
        self._attempts = attempts
        self._storage = storage
        self._slots = slots
        self._lease = lease
        self._clock = clock
        self._strays: dict[tuple[str, int], float] = {}
        self._missing: dict[str, int] = {}

    def compare(self, running: Sequence[RunningAttempt], *, sent_at: float) -> None:
        """Mend what differs; ``running`` is the ledger's answer to a heartbeat sent then."""
        self._hand_back_strays(running)
        self._reassert_missing({row.id for row in running}, sent_at)

    def _hand_back_strays(self, running: Sequence[RunningAttempt]) -> None:
        now = self._clock.monotonic()
        strays = {(row.id, row.attempt): row for row in running if row.id not in self._attempts}
        self._strays = {key: self._strays.get(key, now) for key in strays}
        old = [
            strays[key] for key, since in self._strays.items() if now - since > self._lease.lease_s
        ]
        if old:
            log_event(logger, logging.WARNING, "attempts.strayed", count=len(old))
            reason = "its claim was never answered"
            finished = self._storage.finish([hand_back(row, reason=reason) for row in old])
            # Their hashes say queued all the time, so nobody else would push them for minutes.
            queued = [i.entry for i in finished if i.status is ExecutionStatus.QUEUED and i.entry]
            self._on_queued(queued)

    def _reassert_missing(self, known: set[str], sent_at: float) -> None:
        # Twice in a row: a heartbeat may have been answered just before a claim was committed.
        self._missing = {
            attempt.claimed.id: self._missing.get(attempt.claimed.id, 0) + 1
            for attempt in list(self._attempts.values())
            if attempt.claimed.id not in known
            and not attempt.over
            and attempt.started_at is not None
            and attempt.started_at < sent_at
        }
        for execution_id, times in self._missing.items():
            attempt = self._attempts.get(execution_id)
            if times >= TIMES_MISSING and attempt is not None:
                self._reassert(attempt)

    def _reassert(self, attempt: Attempt) -> None:
        claimed = attempt.claimed
        reply = self._storage.claim(
            Claim(
                worker_id=self._lease.worker_id,
                token=claimed.claim_token,
                ids=(claimed.id,),
                solo=claimed.alone,
            )
        )
        if not any(won.attempt == claimed.attempt for won in reply.won):
            row = reply.refused[0].status if reply.refused else None
            log_event(logger, logging.WARNING, "claim.superseded", id=claimed.id, row=row)
            reason = f"the ledger has it as {row or 'gone'}"
            self._slots.interrupt(attempt, Interrupt.LOST, reason)
