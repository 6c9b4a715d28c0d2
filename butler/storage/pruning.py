"""The part of `Storage` that forgets what is over its `Retention`."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from butler.storage.recurring_records import PrunedPage


class PrunableStorage(Protocol):
    """A ledger whose rows stay bounded; each call removes a small batch, if its caller leads."""

    def prune_executions(
        self,
        *,
        epoch: int,
        after: str | None,
        limit: int,
        tasks: Mapping[str, float] = MappingProxyType({}),
    ) -> PrunedPage:
        """Look at up to ``limit`` executions in id order after a cursor, and remove the expired.

        With their attempts, events and logs. ``tasks`` are days that tasks say of themselves; what
        the storage's own `Retention` says of a task comes first. Unfinished executions are never
        removed, however old.
        """
        ...

    def prune_fires(self, *, epoch: int, limit: int) -> int:
        """Remove recorded fires older than the longest retention, oldest first; how many."""
        ...

    def prune_workers(self, *, epoch: int) -> int:
        """Remove workers that ended a week ago and under which nothing runs; how many."""
        ...

    def prune_limits(self, *, epoch: int, limit: int) -> int:
        """Forget limits' names under which nothing runs and whose rate is unused; how many.

        What is allowed under them stays as it was said.
        """
        ...
