"""The exporter: reads the ledger for ``/metrics``, while this scheduler leads and is scraped."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from butler.clock import SYSTEM_CLOCK
from butler.monitoring.ledger_metrics import LedgerMetrics
from butler_scheduler.service import Service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from butler.clock import Clock
    from butler.monitoring.metrics import Metric
    from butler.storage.base import Storage
    from butler_scheduler.leader import Leader

READ_EVERY_S = 10.0
LOOK_EVERY_S = 1.0


class Exporter(Service):
    """Keeps what ``/metrics`` shows of the ledger fresh."""

    name: ClassVar[str] = "exporter"

    def __init__(self, storage: Storage, *, leader: Leader, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(clock=clock)
        self._leader = leader
        self._ledger = LedgerMetrics(storage, clock=clock)

    def tick(self, now: float) -> float:  # noqa: ARG002 - nothing here is timed
        """Read once, if it is wanted here."""
        if self._leader.epoch() is None:
            self._ledger.forget()
            return LOOK_EVERY_S
        if not self._ledger.wanted:
            return LOOK_EVERY_S
        self._ledger.refresh()
        return READ_EVERY_S

    def metrics(self) -> Sequence[Metric]:
        """What the ledger says; nothing on a standby."""
        return self._ledger.metrics()
