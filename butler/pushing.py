"""`Pusher`: tells Redis what the ledger has decided, and never makes a producer wait long.

A push adds at most half a second to an enqueue: the client it uses gives a reply 400 ms and
retries nothing, and after one failure Redis is not asked again for five seconds. What was not
pushed is not lost: rows written meanwhile are ``unpushed`` and the stager pushes them, rows whose
push failed are found by the reconciler. Rejected: retrying the push in a thread, because a
producer that exits would lose it, and the ledger already does better.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from butler.errors import QueueUnavailable
from butler.log import log_event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from butler.clock import Clock
    from butler.queues import QueueWire
    from butler.storage.records import QueueEntry

PUSH_TIMEOUT_S = 0.4
REST_S = 5.0

_log = logging.getLogger("butler.pushing")


class Pusher:
    """Carries steps to the wire; what Redis does not take is logged and left to the scheduler."""

    def __init__(self, wire: QueueWire, *, clock: Clock, rest_s: float = REST_S) -> None:
        self._wire = wire
        self._clock = clock
        self._rest_s = rest_s
        self._rests_until: float | None = None

    @property
    def resting(self) -> bool:
        """Whether Redis failed within the last ``rest_s`` seconds and is left alone."""
        return self._rests_until is not None and self._clock.monotonic() < self._rests_until

    def push(self, entries: Sequence[QueueEntry]) -> bool:
        """Put executions on their queues; whether it was done."""
        return self._tell("push", lambda: self._wire.push(entries), len(entries))

    def prepare(self, entry: QueueEntry) -> Callable[[], bool] | None:
        """What pushes one execution, made ready while its row is committed; None: use `push`."""
        try:
            send = self._wire.prepare(entry)
        except QueueUnavailable as error:
            self._rest("push", 1, error)
            return None
        return None if send is None else partial(self._tell, "push", send, 1)

    def settle(self) -> bool:
        """Wait for the answers to what was only sent; whether all was done."""
        return self._tell("push", self._wire.settle, 1)

    def withdraw(self, entries: Sequence[QueueEntry]) -> bool:
        """Take cancelled executions off their queues; whether it was done."""
        return self._tell("withdraw", lambda: self._wire.withdraw(entries), len(entries))

    def forget(self, entries: Sequence[QueueEntry]) -> bool:
        """Remove every trace of deleted executions; whether it was done."""
        return self._tell("forget", lambda: self._wire.forget(entries), len(entries))

    def request_stop(self, execution_id: str, worker_name: str) -> bool:
        """Carry a cancel to the worker; if it is not done its next heartbeat finds it."""
        return self._tell("stop", lambda: self._wire.request_stop(execution_id, worker_name), 1)

    def _tell(self, step: str, call: Callable[[], object], count: int) -> bool:
        if count == 0:
            return True
        if self.resting:
            return False
        try:
            call()
        except QueueUnavailable as error:
            self._rest(step, count, error)
            return False
        self._rests_until = None
        return True

    def _rest(self, step: str, count: int, error: QueueUnavailable) -> None:
        self._rests_until = self._clock.monotonic() + self._rest_s
        log_event(_log, logging.WARNING, "redis_skipped", step=step, executions=count, error=error)
