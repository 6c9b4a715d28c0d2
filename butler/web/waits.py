"""What keeps queued executions from starting, as a caller may see it: two questions a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from butler.executions import ExecutionStatus
from butler.web.models.executions import ShownWait

if TYPE_CHECKING:
    from collections.abc import Sequence

    from butler.executions import Execution
    from butler.web.callers import Caller
    from butler.web.services import Web


def shown_waits(
    web: Web, caller: Caller, executions: Sequence[Execution]
) -> dict[str, list[ShownWait]]:
    """By id, of those that something keeps; names without secrets, holders as the caller may see.

    ``executions`` are not masked yet: what is secret in them is told by their requests.
    """
    queued = {each.id: each for each in executions if each.status is ExecutionStatus.QUEUED}
    kept = web.butler.limits.waits_of(queued) if queued else {}
    holders = {id_ for waits in kept.values() for wait in waits for id_ in wait.held_by}
    visible = _visible(web, caller, holders)
    shown = {}
    for id_, waits in kept.items():
        secrets = web.masks.secrets(queued[id_])
        shown[id_] = [
            ShownWait(
                limit=web.masks.text(wait.limit, secrets) or "",
                part=wait.part,
                wait_s=wait.wait_s,
                held_by=[holder for holder in wait.held_by if holder in visible],
            )
            for wait in waits
        ]
    return shown


def _visible(web: Web, caller: Caller, ids: set[str]) -> set[str]:
    if caller.scope.everything or not ids:
        return ids
    there = web.butler.storage.get_many(sorted(ids))
    return {each.id for each in there if caller.scope.holds(queue=each.queue, tags=each.tags)}
