"""What a supervisor answers to probes: how it and its children stand."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from butler.monitoring.metrics import Sample, counter, gauge
from butler.monitoring.probes import Probed, Verdict
from butler_workers.started import COUNTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from butler.monitoring.metrics import Metric
    from butler_workers.children import ChildProcess
    from butler_workers.started import Vitals

STUCK_S = 10.0


class SupervisorHealth:
    """Keeps what the probes need; ``turn`` and ``heartbeat`` are called as these happen."""

    def __init__(self, children: Mapping[str, ChildProcess], *, slots: int, lease_s: float) -> None:
        self._children = children
        self._slots = slots
        self._lease_s = lease_s
        self._turned_at = time.monotonic()
        self._heartbeat_at: float | None = None
        self._gone = [0] * len(COUNTED)
        self._deaths = 0
        self.stopping = False

    @property
    def probed(self) -> Probed:
        """For the server."""
        return Probed(live=self.live, ready=self.ready, metrics=self.metrics)

    def turn(self) -> None:
        """The supervisor's loop has come round."""
        self._turned_at = time.monotonic()

    def heartbeat(self) -> None:
        """The ledger has acknowledged a heartbeat."""
        self._heartbeat_at = time.monotonic()

    def bury(self, vitals: Vitals) -> None:
        """A child is dead; its counts stay, because a counter must not fall."""
        self._deaths += 1
        self._gone = [a + b for a, b in zip(self._gone, vitals.ended, strict=True)]

    def live(self) -> Verdict:
        """Whether this process works at all; asks nobody else."""
        still_s = time.monotonic() - self._turned_at
        if still_s > STUCK_S:
            return Verdict(
                passes=False, reason=f"the supervisor has stood still for {still_s:.0f} s"
            )
        return Verdict(passes=True)

    def ready(self) -> Verdict:
        """Whether executions are run here now."""
        if self.stopping:
            return Verdict(passes=False, reason="stopping")
        if not any(child.ready and not child.draining for child in list(self._children.values())):
            return Verdict(passes=False, reason="no child process serves")
        if self._heartbeat_at is None:
            return Verdict(passes=False, reason="the ledger has not acknowledged a heartbeat yet")
        age_s = time.monotonic() - self._heartbeat_at
        if age_s > self._lease_s:
            reason = f"the ledger has not acknowledged a heartbeat for {age_s:.0f} s"
            return Verdict(passes=False, reason=reason)
        return Verdict(passes=True)

    def metrics(self) -> Iterable[Metric]:
        """Over all children."""
        children = [child for child in list(self._children.values()) if not child.solo]
        vitals = [child.started.vitals() for child in list(self._children.values())]
        ended = [sum(counts) for counts in zip(self._gone, *(v.ended for v in vitals), strict=True)]
        return (
            gauge("butler_worker_processes", "Processes that run executions.", len(children)),
            gauge(
                "butler_worker_slots",
                "Executions these processes can run at once.",
                len(children) * self._slots,
            ),
            gauge(
                "butler_worker_attempts_in_flight",
                "Attempts that run, or were claimed to run next.",
                sum(v.in_flight for v in vitals),
            ),
            gauge(
                "butler_worker_endings_unwritten",
                "Attempts that have ended and are not written to the ledger yet.",
                sum(v.backlog for v in vitals),
            ),
            counter(
                "butler_worker_attempts_total",
                "Attempts that have ended, by outcome; returned ones are run again.",
                [
                    Sample(count, {"outcome": name})
                    for name, count in zip(COUNTED, ended, strict=True)
                ],
            ),
            counter(
                "butler_worker_processes_ended_total",
                "Processes that have ended, for whatever reason.",
                [Sample(self._deaths)],
            ),
            gauge(
                "butler_worker_heartbeat_age_seconds",
                "Since the ledger last acknowledged a heartbeat; -1 before the first.",
                -1 if self._heartbeat_at is None else time.monotonic() - self._heartbeat_at,
            ),
        )
