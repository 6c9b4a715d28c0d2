"""What makes a `Butler` watched: ``butler.stats``, ``health``, ``alerts``, ``alert_rules``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from butler.app import Butler
    from butler.monitoring.alerts.alerts import Alerts
    from butler.monitoring.alerts.rules import AlertRules
    from butler.monitoring.health.health import Health
    from butler.monitoring.stats import Statistics


class MonitoringOwner:
    """Has what watches its ledger, each made at first use."""

    _health: Health | None = None
    _alerts: Alerts | None = None
    _alert_rules: AlertRules | None = None

    @property
    def stats(self) -> Statistics:
        """What ran lately, how it ended and how long it took; what fails."""
        from butler.monitoring.stats import Statistics

        return Statistics(self._as_butler())

    @property
    def health(self) -> Health:
        """How the ledger and its servers do; ``@butler.health.check`` adds a check of your own."""
        if self._health is None:
            from butler.monitoring.health.health import Health

            self._health = Health(self._as_butler())
        return self._health

    @property
    def alerts(self) -> Alerts:
        """What is wrong, and was; acknowledging and silencing it."""
        if self._alerts is None:
            from butler.monitoring.alerts.alerts import Alerts

            self._alerts = Alerts(self._as_butler())
        return self._alerts

    @property
    def alert_rules(self) -> AlertRules:
        """When to alert, and whom to tell."""
        if self._alert_rules is None:
            from butler.monitoring.alerts.rules import AlertRules

            self._alert_rules = AlertRules(self._as_butler())
        return self._alert_rules

    def _as_butler(self) -> Butler:
        from butler.app import Butler

        assert isinstance(self, Butler)
        return self
