"""The monitor: what is wrong is alerted, and told; acts only while leading."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from butler.clock import SYSTEM_CLOCK
from butler.monitoring.alerts.watchman import Watchman
from butler_scheduler.service import Service

if TYPE_CHECKING:
    from butler.app import Butler
    from butler.clock import Clock
    from butler_scheduler.leader import Leader

TICK_EVERY_S = 1.0
TICK_WHEN_PRESSED_S = 0.1


class Monitor(Service):
    """Lets a `Watchman` do its rounds."""

    name: ClassVar[str] = "monitor"

    def __init__(self, butler: Butler, *, leader: Leader, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(clock=clock)
        self._leader = leader
        self._watchman = Watchman(butler, clock=clock)

    def tick(self, now: float) -> float:  # noqa: ARG002 - the watchman reads his own clock
        """One round."""
        epoch = self._leader.epoch()
        if epoch is None:
            self._watchman.stand_down()
        else:
            self._watchman.step(epoch=epoch)
            if self._watchman.pressing:
                return TICK_WHEN_PRESSED_S
        return TICK_EVERY_S

    def wind_down(self) -> None:
        """Take no more deliveries."""
        self._watchman.stand_down()
