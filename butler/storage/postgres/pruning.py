"""Removing what is over its retention from PostgreSQL."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from butler.storage.postgres import literals
from butler.storage.recurring_records import PrunedPage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from butler.storage.postgres.connections import PostgresConnections
    from butler.storage.retention import Retention

_DAY_S = 86_400.0
_FIRST_ID = "00000000-0000-0000-0000-000000000000"
# What was created this long before the retention's end has mostly ended before it, too; the rest is
# found when the pruner starts over.
_SETTLES_WITHIN_S = 600.0


class PostgresPruning:
    """What makes a `PostgresStorage` a `PrunableStorage`."""

    _connections: PostgresConnections
    retention: Retention

    def prune_executions(
        self,
        *,
        epoch: int,
        after: str | None,
        limit: int,
        tasks: Mapping[str, float] = MappingProxyType({}),
    ) -> PrunedPage:
        """Remove those of the next executions that are over their retention."""
        kept = self.retention.joined(tasks)
        own = [(task, kept.of_task(task)) for task in sorted(kept.tasks)]
        young_s = kept.shortest * _DAY_S
        params = {
            "epoch": str(epoch),
            "after": after if literals.is_uuid(after) else _FIRST_ID,
            "limit": str(limit),
            "young_s": repr(young_s + min(_SETTLES_WITHIN_S, young_s / 10)),
            "tasks": literals.texts([task for task, _ in own]),
            "tasks_succeeded_s": _seconds([each.succeeded for _, each in own]),
            "tasks_failed_s": _seconds([each.failed for _, each in own]),
            "tasks_cancelled_s": _seconds([each.cancelled for _, each in own]),
            "succeeded_s": repr(kept.succeeded * _DAY_S),
            "failed_s": repr(kept.failed * _DAY_S),
            "cancelled_s": repr(kept.cancelled * _DAY_S),
        }
        ((last, seen, removed),) = self._connections.run("prune_executions", params)
        return PrunedPage(removed=removed, last=last or after, more=seen == limit)

    def prune_fires(self, *, epoch: int, limit: int) -> int:
        """Remove recorded fires that are older than the longest retention."""
        kept_s = repr(self.retention.longest * _DAY_S)
        params = {"epoch": str(epoch), "kept_s": kept_s, "limit": str(limit)}
        return len(self._connections.run("prune_fires", params))

    def prune_workers(self, *, epoch: int) -> int:
        """Remove workers that ended a week ago."""
        return len(self._connections.run("prune_workers", {"epoch": str(epoch)}))

    def prune_limits(self, *, epoch: int, limit: int) -> int:
        """Forget limits' names under which nothing runs and whose rate is unused."""
        params = {"epoch": str(epoch), "limit": str(limit)}
        ((removed,),) = self._connections.run("prune_limits", params)
        return int(removed)


def _seconds(days: Sequence[float]) -> str:
    return literals.numbers([each * _DAY_S for each in days])
