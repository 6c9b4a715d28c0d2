"""`TurnKeys`: fair keys that only code can make, for what was enqueued where that code is not.

``butler.enqueue(...)`` in SQL reads a named field of the request itself; a function it cannot call.
What it writes is staged, so a scheduler that was given the application (``--app``) sees it before
it is pushed, and makes its key. Without an application, or where its function raises, it takes the
turn of what has no key.

Rejected: workers, which make the keys of limits at the claim. By then an execution has had its
turn.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from butler.errors import InvalidRequest, StorageUnavailable
from butler.fair_keys import fair_key
from butler.limiting import LimitKeys
from butler.log import log_event
from butler.storage.limits import MadeKeys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from butler.executions import Execution
    from butler.fair_keys import FairBy
    from butler.registry import TaskRegistry
    from butler.storage.base import Storage
    from butler.storage.records import QueueEntry

logger = logging.getLogger(__name__)


class TurnKeys:
    """One application's fair keys; ``fair_queues`` is what it says by queue."""

    def __init__(
        self, storage: Storage, *, registry: TaskRegistry, fair_queues: Mapping[str, FairBy]
    ) -> None:
        self._storage = storage
        self._registry = registry
        self._fair_queues = fair_queues

    def complete(self, entries: Sequence[QueueEntry]) -> Sequence[QueueEntry]:
        """The entries with the keys that could be made, which are noted in the ledger too."""
        lacking = [entry.id for entry in entries if self._lacks_key(entry)]
        if not lacking:
            return entries
        try:
            made = {
                execution.id: key
                for execution in self._storage.get_many(lacking)
                if (key := self._key_of(execution)) is not None
            }
            self._storage.note_limit_keys(
                [MadeKeys(execution_id=id_, keys=LimitKeys(fair=key)) for id_, key in made.items()]
            )
        except StorageUnavailable as error:
            # They are queued already, and better pushed without a key than later.
            log_event(logger, logging.WARNING, "turn_keys.not_made", error=error)
            return entries
        return [
            replace(entry, fair_key=made[entry.id]) if entry.id in made else entry
            for entry in entries
        ]

    def _lacks_key(self, entry: QueueEntry) -> bool:
        return entry.fair_key is None and callable(self._fair_by(entry.task, entry.queue))

    def _fair_by(self, task: str, queue: str) -> FairBy | None:
        spec = self._registry.find(task)
        return None if spec is None else spec.options.fair_by or self._fair_queues.get(queue)

    def _key_of(self, execution: Execution) -> str | None:
        spec = self._registry.find(execution.task)
        assert spec is not None
        try:
            text = None if execution.request is None else json.dumps(execution.request)
            request = spec.request.decode(text)
            return fair_key(self._fair_by(execution.task, execution.queue), request)
        except InvalidRequest:
            return None  # its worker says so
        except Exception as error:  # noqa: BLE001 - a user's function; the others must go on
            log_event(
                logger,
                logging.WARNING,
                "fair_key.not_made",
                id=execution.id,
                task=execution.task,
                error=error,
                hint="it takes the turn of what has no key",
            )
            return None
