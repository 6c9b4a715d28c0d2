"""`KeyedClaims`: claims of what was enqueued where nobody could compute its limits' keys.

The ledger refuses an execution whose task computes a ``concurrency_key`` or ``rate_key`` as long as
nobody has: ``butler.enqueue(...)`` in SQL, recurring jobs, and applications that know the task by
name only have no code to do it. A worker has. It writes the keys and repeats the claim under its
token, so that what it had won is won again.

What cannot be computed does not start under a wrong name: a request of another schema, and a task
that this worker does not know, wait for a worker that does. A request that does not validate is let
through, to fail with its errors; so is one whose key function raises, under the task's own name.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from butler.enqueueing import limit_keys_of_spec
from butler.errors import InvalidRequest
from butler.limiting import LimitKeys
from butler.log import log_event
from butler.storage.limits import MadeKeys

if TYPE_CHECKING:
    from butler.executions import Execution
    from butler.registry import TaskRegistry
    from butler.storage.base import Storage
    from butler.storage.records import Claim, ClaimReply

logger = logging.getLogger(__name__)


class KeyedClaims:
    """Claims on one ledger, for one application's tasks."""

    def __init__(self, storage: Storage, registry: TaskRegistry) -> None:
        self._storage = storage
        self._registry = registry

    def claim(self, claim: Claim) -> ClaimReply:
        """As `Storage.claim`."""
        reply = self._storage.claim(claim)
        waits = {item.id: item.wait for item in reply.refused if item.wait is not None}
        keyless = [id_ for id_, wait in waits.items() if wait.part == "keys"]
        made = self._make(keyless) if keyless else []
        if not made:
            return reply
        self._storage.note_limit_keys(made)
        again = self._storage.claim(claim)
        # Told twice, and only the first time with its slots.
        first = {won.id: won for won in reply.won}
        return replace(again, won=tuple(first.get(won.id, won) for won in again.won))

    def _make(self, ids: list[str]) -> list[MadeKeys]:
        made = (self._made_of(each) for each in self._storage.get_many(ids))
        return [keys for keys in made if keys is not None]

    def _made_of(self, execution: Execution) -> MadeKeys | None:
        """None where this worker cannot tell."""
        spec = self._registry.find(execution.task)
        if spec is None:
            return None
        made = MadeKeys(execution_id=execution.id, keys=LimitKeys(computed=True))
        try:
            text = None if execution.request is None else json.dumps(execution.request)
            keys = limit_keys_of_spec(spec, spec.request.decode(text))
        except InvalidRequest:
            return replace(made, fingerprint=spec.fingerprint)
        except Exception as error:  # noqa: BLE001 - a user's function; its claim must go on
            log_event(
                logger,
                logging.WARNING,
                "limit_keys.not_made",
                id=execution.id,
                task=execution.task,
                error=error,
                hint="it counts under its task's own name",
            )
            return made
        return made if keys is None else replace(made, keys=keys)
