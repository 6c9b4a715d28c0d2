"""A worker process's lease: how long it may believe that the ledger thinks it alive.

The supervisor's heartbeats are what keeps it. When none has been acknowledged for the whole lease,
the ledger may have given this worker up and its work to others, so nothing new may start here.
Measured in boot time, which goes on while the machine sleeps and is the same for all processes of
a host: the supervisor stamps when it sent the heartbeat, not when the answer came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from butler.clock import Clock

LEASE_S = 15.0
HEARTBEAT_S = 5.0


class Lease:
    """Fresh while the newest acknowledged heartbeat is younger than ``lease_s``."""

    def __init__(self, clock: Clock, *, worker_id: str, lease_s: float = LEASE_S) -> None:
        self.worker_id = worker_id
        self.lease_s = lease_s
        self._clock = clock
        self._sent_at = clock.monotonic()
        self.lost = False

    @property
    def fresh(self) -> bool:
        """Whether attempts may start."""
        return not self.lost and self._clock.monotonic() - self._sent_at < self.lease_s

    def renew(self, sent_at: float) -> None:
        """A heartbeat that was sent at this boot time has been acknowledged."""
        self._sent_at = max(self._sent_at, sent_at)

    def lose(self) -> None:
        """The ledger has given this worker up; that is final."""
        self.lost = True
