"""`AuditTrail`: who changed what, from where, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from butler.storage.base import MAX_BATCH
from butler.web.together import Together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from butler.app import Butler
    from butler.storage.access import AuditEntry


class AuditTrail:
    """Writes entries to the ledger. Those of many requests at once are one statement."""

    def __init__(self, butler: Butler) -> None:
        self._butler = butler
        self._entries: Together[AuditEntry, None] = Together(
            butler, self._write_all, at_once=MAX_BATCH
        )

    async def write(self, entry: AuditEntry) -> None:
        """Return when it is durable; raises what the ledger raises."""
        await self._entries.do(entry)

    def _write_all(self, entries: Sequence[AuditEntry]) -> list[None]:
        self._butler.storage.write_audit(entries)
        return [None] * len(entries)
