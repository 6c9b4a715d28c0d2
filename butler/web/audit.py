"""`AuditTrail`: who changed what, from where, and why."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from butler.storage.base import MAX_BATCH

if TYPE_CHECKING:
    from butler.app import Butler
    from butler.storage.access import AuditEntry

    Waiting = tuple[AuditEntry, asyncio.Future[None]]


class AuditTrail:
    """Writes entries to the ledger. Those of many requests at once are one statement."""

    def __init__(self, butler: Butler) -> None:
        self._butler = butler
        self._waiting: list[Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    async def write(self, entry: AuditEntry) -> None:
        """Return when it is durable; raises what the ledger raises."""
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, written))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_all())
        await written

    async def _write_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            entries = [entry for entry, _ in batch]
            error: Exception | None = None
            try:
                write = partial(self._butler.storage.write_audit, entries)
                await self._butler.in_thread(write)
            except Exception as raised:  # noqa: BLE001 - told to each who waits
                error = raised
            for _, written in batch:
                _settle(written, error)


def _settle(written: asyncio.Future[None], error: Exception | None) -> None:
    if written.done():  # whoever waited has gone
        return
    if error is None:
        written.set_result(None)
    else:
        written.set_exception(error)
