"""`Changes`: what clients missed that come back, read once for all that come back together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from butler.web.live.catching_up import changed_since
from butler.web.shared import Shared

if TYPE_CHECKING:
    from butler.app import Butler
    from butler.storage.records import Standing
    from butler.web.live.feed import Feed

# After a restart all clients come back with nearly the same time.
TOGETHER_S = 10
READINGS_KEPT = 20


@dataclass(frozen=True, slots=True)
class Missed:
    """How those stand that have changed; ``all_`` False where there may be more.

    What came later stands in the feed, behind ``number``.
    """

    standings: tuple[Standing, ...]
    all_: bool
    number: int


class Changes:
    """Readings by the time they begin at, each believed for a second."""

    def __init__(self, butler: Butler, feed: Feed) -> None:
        self._butler = butler
        self._feed = feed
        self._readings: dict[float, Shared[Missed]] = {}

    async def since(self, moment: datetime) -> Missed:
        """What has changed since then, or a few seconds before."""
        begin = moment.timestamp() // TOGETHER_S * TOGETHER_S
        reading = self._readings.get(begin)
        if reading is None:
            if len(self._readings) >= READINGS_KEPT:
                self._readings.clear()
            read = partial(self._read, datetime.fromtimestamp(begin, UTC))
            reading = self._readings[begin] = Shared(self._butler, read)
        return await reading.get()

    def _read(self, since: datetime) -> Missed:
        number = self._feed.number
        found = changed_since(self._butler.storage, since)
        return Missed(found.standings, all_=found.all_, number=number)
