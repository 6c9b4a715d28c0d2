"""`Shared`: a reading of the ledger that all who ask within a moment share.

Dashboards ask every second or two, and many of them are open on a bad day: what they ask for is
read once for all of them, by one at a time.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from butler.app import Butler

T = TypeVar("T")

FRESH_S = 1.0


class Shared(Generic[T]):
    """What ``read``, a blocking call, returned last; called again when that is a second old."""

    def __init__(self, butler: Butler, read: Callable[[], T]) -> None:
        self._butler = butler
        self._read = read
        self._reading: asyncio.Task[T] | None = None
        self._began = float("-inf")

    async def get(self) -> T:
        """The reading; raises what reading raises, to all who wait for it."""
        reading = self._reading
        if reading is None or not self._is_good(reading):
            self._began = time.monotonic()
            reading = asyncio.create_task(self._butler.in_thread(self._read))
            self._reading = reading
        # Whoever leaves must not take the reading away from the others.
        return await asyncio.shield(reading)

    def _is_good(self, reading: asyncio.Task[T]) -> bool:
        if not reading.done():
            return reading.get_loop() is asyncio.get_running_loop()
        failed = reading.cancelled() or reading.exception() is not None
        return not failed and time.monotonic() - self._began < FRESH_S
