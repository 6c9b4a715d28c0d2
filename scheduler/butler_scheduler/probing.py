"""What a scheduler answers to probes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from butler.monitoring.metrics import Sample, counter, gauge
from butler.monitoring.probes import Probed, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from butler.clock import Clock
    from butler.monitoring.metrics import Metric
    from butler_scheduler.service import Service

OVERDUE_S = 30.0


class SchedulerHealth:
    """How a scheduler's services stand; a standby that stands by is well."""

    def __init__(
        self,
        services: Callable[[], Sequence[Service]],
        *,
        leads: Callable[[], bool],
        ledger: Callable[[], Sequence[Metric]],
        clock: Clock,
    ) -> None:
        self._services = services
        self._ledger = ledger
        self._leads = leads
        self._clock = clock

    @property
    def probed(self) -> Probed:
        """For the server."""
        return Probed(live=lambda: Verdict(passes=True), ready=self.ready, metrics=self.metrics)

    def ready(self) -> Verdict:
        """Whether every service has lately done its round."""
        services = self._services()
        if not services:
            return Verdict(passes=False, reason="waiting for the ledger")
        now = self._clock.monotonic()
        late = [
            service.name
            for service in services
            if service.ticked_at is None or now - service.ticked_at > OVERDUE_S
        ]
        if late:
            return Verdict(passes=False, reason=f"no round for {OVERDUE_S:g} s: {', '.join(late)}")
        return Verdict(passes=True, reason="leader" if self._leads() else "standby")

    def metrics(self) -> Iterable[Metric]:
        """Whether it leads, how its services fare, and if it leads what the ledger says."""
        return (
            gauge(
                "butler_scheduler_leader",
                "1 in the scheduler that leads, 0 in those that stand by.",
                int(self._leads()),
            ),
            counter(
                "butler_scheduler_service_failures_total",
                "Rounds of services that ended in an error; the log says whose.",
                [Sample(sum(service.failures for service in self._services()))],
            ),
            *self._ledger(),
        )
