"""`ChannelTroubles`: which channels fail, as their deliveries end."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from butler.monitoring.alerts.alert import AlertState
from butler.monitoring.alerts.measure import ChannelTrouble
from butler.monitoring.alerts.rule import RuleKind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from butler.monitoring.alerts.alert import Alert


class ChannelTroubles:
    """Counts failures in a row by channel; thread-safe.

    A scheduler that begins to lead has seen no failures. What it finds alerted, it takes for
    broken until a delivery says otherwise.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._troubles: dict[str, ChannelTrouble] = {}
        self._works: set[str] = set()

    def delivered(self, channel: str) -> None:
        """A message got through."""
        with self._lock:
            self._troubles.pop(channel, None)
            self._works.add(channel)

    def failed(self, channel: str, error: str, *, at: datetime) -> None:
        """A message did not."""
        with self._lock:
            self._works.discard(channel)
            known = self._troubles.get(channel)
            if known is None:
                known = ChannelTrouble(channel=channel, failures=0, since=at, error=error)
            self._troubles[channel] = replace(known, failures=known.failures + 1, error=error)

    def now(self, alerts: Iterable[Alert], *, channels: Iterable[str]) -> list[ChannelTrouble]:
        """The troubles of the channels that are set up, with those already alerted."""
        names = set(channels)
        with self._lock:
            found = {name: each for name, each in self._troubles.items() if name in names}
            for alert in alerts:
                name = alert.subject
                is_open = alert.state is not AlertState.RESOLVED and alert.kind == RuleKind.CHANNEL
                if is_open and name in names and name not in self._works:
                    kept = ChannelTrouble(
                        channel=name,
                        failures=max(1, int(alert.value)),
                        since=alert.since,
                        error=alert.cause,
                    )
                    if name not in found or found[name].failures < kept.failures:
                        found[name] = kept
        return list(found.values())
