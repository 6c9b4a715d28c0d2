"""The part of `Storage` that says how a ledger does, and keeps alerts, their rules and silences.

Alerts are written by the leader alone: what takes an ``epoch`` does nothing when its caller no
longer leads. Of each (rule, subject) one alert at most is not resolved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from butler.monitoring.alerts.alert import Alert, AlertPage, AlertQuery, Silence
    from butler.monitoring.alerts.rule import AlertRule
    from butler.storage.monitoring_records import LedgerPicture

ALERTS_KEPT_DAYS = 90


class MonitoringStorage(Protocol):
    """How a ledger does, and what was alerted."""

    def picture(self) -> LedgerPicture:
        """How the ledger does now; bounded, and cheap enough to be read every few seconds."""
        ...

    # Alerts

    def write_alerts(self, alerts: Sequence[Alert], *, epoch: int) -> list[Alert]:
        """Open and change alerts, by their ids; those that were written.

        An alert whose (rule, subject) has another unresolved one is not opened. One that was
        acknowledged meanwhile stays so, unless it is resolved; what was resolved stays as it is,
        but for its outbox.
        """
        ...

    def alerts(self, query: AlertQuery) -> AlertPage:
        """A page of alerts, newest first."""
        ...

    def get_alert(self, alert_id: str) -> Alert | None:
        """One alert; None when there is none."""
        ...

    def unsettled_alerts(self) -> list[Alert]:
        """Those that are not resolved, or whose messages are not all delivered; oldest first."""
        ...

    def acknowledge_alert(self, alert_id: str, *, by: str | None) -> Alert | None:
        """Mark an open alert as seen; as it stands afterwards, None when there is none."""
        ...

    def prune_alerts(self, *, epoch: int) -> int:
        """Remove what was resolved `ALERTS_KEPT_DAYS` ago, and silences that ended then."""
        ...

    # Rules

    def alert_rules(self) -> list[AlertRule]:
        """The rules that were made or changed, by name."""
        ...

    def write_alert_rule(self, rule: AlertRule, *, version: int) -> bool:
        """Put a rule in the place of one at ``version`` (0: none); it gets the next version.

        False where the rule has another version, or is not there.
        """
        ...

    def delete_alert_rule(self, name: str) -> bool:
        """Remove a rule; whether it was there."""
        ...

    # Silences

    def add_silence(self, silence: Silence) -> None:
        """Add a silence; repeating it changes nothing."""
        ...

    def end_silence(self, silence_id: str, *, at: datetime) -> bool:
        """Let a silence end sooner; whether it held that long."""
        ...

    def silences(self) -> list[Silence]:
        """Silences that have not ended, soonest end first."""
        ...
