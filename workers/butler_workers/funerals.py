"""What follows when a child has died: its attempts are ended and its hand is put back."""

from __future__ import annotations

import logging
import random
import threading
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING

from butler import lifecycle
from butler.clock import SYSTEM_CLOCK
from butler.errors import ButlerError, QueueUnavailable
from butler.executions import AttemptOutcome, ErrorRecord
from butler.hands import Hands
from butler.log import log_event
from butler.recovery import Recovery
from butler.retries import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from butler.app import Butler
    from butler.lifecycle import Transition
    from butler.storage.records import RunningAttempt
    from butler_workers.started import Started

logger = logging.getLogger(__name__)

RETRY_PAUSE_S = 0.5
# What is not put back in time, the scheduler's rescuer puts back after a lease.
LAST_RITES_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """A child died: of ``cause``, or in good order where None, with these attempts started.

    Without a ``name`` it had not begun to serve.
    """

    worker_id: str
    name: str
    queues: Sequence[str]
    cause: str | None
    started: Mapping[str, Started]


class Funerals:
    """A thread that puts back what dead children held; it does not give up while it runs."""

    def __init__(self, butler: Butler) -> None:
        self._butler = butler
        self._dead: SimpleQueue[Death | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="butler-funerals", daemon=True)
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin to wait for the dead."""
        self._thread.start()

    def add(self, death: Death) -> None:
        """A child died."""
        self._dead.put(death)

    def stop(self) -> None:
        """Finish what is there, within a moment."""
        self._dead.put(None)
        self._thread.join(LAST_RITES_S)
        self._stopping.set()

    def _run(self) -> None:
        while (death := self._dead.get()) is not None:
            while not self._stopping.is_set():
                try:
                    self._bury(death)
                except ButlerError as error:
                    log_event(logger, logging.WARNING, "recovery.waiting", error=error)
                    self._stopping.wait(RETRY_PAUSE_S)
                except Exception:
                    logger.exception("recovery.failed; trying again")
                    self._stopping.wait(RETRY_PAUSE_S)
                else:
                    break

    def _bury(self, death: Death) -> None:
        butler = self._butler
        hands = Hands(butler.redis)
        recovery = Recovery(butler.storage, butler.wire, hands)
        now = SYSTEM_CLOCK.monotonic()
        # Who ended in good order is not lost: every deploy would be alerted.
        end = recovery.dismiss if death.cause is None else recovery.recover
        ended = end(
            death.worker_id, lambda row: self._decide(death, row, now), worker_name=death.name
        )
        if ended:
            log_event(
                logger, logging.INFO, "executions.handed_back", worker=death.worker_id, count=ended
            )
        try:
            hands.unregister(death.name, death.queues)
        except QueueUnavailable as error:
            # RQ's keys expire by themselves: nothing but what dashboards show depends on it.
            log_event(logger, logging.WARNING, "worker.still_shown", worker=death.name, error=error)

    def _decide(self, death: Death, row: RunningAttempt, now: float) -> Transition:
        """What follows for one attempt that still ran under the dead child's id."""
        entry = death.started.get(row.id)
        started = entry is not None and entry.attempt == row.attempt
        if entry is not None and started and entry.until < now:
            return self._timed_out(row)
        if death.cause is None:
            return lifecycle.hand_back(row, reason="its worker shut down")
        if not started:
            reason = f"its process died before it was started: {death.cause}"
            return lifecycle.hand_back(row, reason=reason)
        return lifecycle.crash(row, cause=death.cause)

    def _timed_out(self, row: RunningAttempt) -> Transition:
        execution = self._butler.get_or_raise(row.id)
        spec = self._butler.registry.find(execution.task)
        policy = spec.options.retry if spec else RetryPolicy()
        timeout_s = execution.timeout_s or (spec.options.timeout_s if spec else None) or 0.0
        message = f"still running after timeout_s={timeout_s:g}; its process had to be ended"
        return lifecycle.fail_or_retry(
            row,
            error=ErrorRecord(type="TaskTimeout", message=message),
            policy=policy,
            random=random.random(),  # noqa: S311 - spreads retries
            outcome=AttemptOutcome.TIMED_OUT,
        )
