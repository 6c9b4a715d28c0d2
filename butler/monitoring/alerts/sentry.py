"""`Sentry`: tells soon when a server is unhealthy, with as few questions as that takes.

A look at the whole ledger is some twenty statements. Where each took a second, because Postgres was
what was wrong, two looks took a minute and a half, and only then was it told. So the servers are
looked at first: one question, no more while they are well; and until what was found is told, the
whole look waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from butler.monitoring.alerts.alert import AlertState
from butler.monitoring.alerts.judge import Judge, Standing
from butler.monitoring.alerts.measuring import CheckMeasures
from butler.monitoring.alerts.rule import RuleKind
from butler.monitoring.alerts.rules import rules_of
from butler.monitoring.health.servers import SERVER_CHECKS
from butler.monitoring.health.verdict import HealthLevel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from butler.app import Butler
    from butler.monitoring.alerts.alert import Alert, Silence
    from butler.monitoring.alerts.rule import AlertRule
    from butler.storage.base import Storage

READ_EVERY_S = 15.0
PRESSING_AT_MOST_S = 15.0
"""An alert that would open later than that keeps up no look at the ledger."""


def is_about_servers(alert: Alert) -> bool:
    """Whether the sentry opens and resolves it."""
    return alert.kind == RuleKind.HEALTH and alert.subject in SERVER_CHECKS


class Sentry:
    """Holds rules about health checks against those of the servers alone.

    While ``pressing`` something is about to be told: nothing slower should be begun.
    """

    def __init__(self, butler: Butler) -> None:
        self._butler = butler
        self._judge = Judge()
        self._rules: list[AlertRule] = []
        self._silences: Sequence[Silence] = ()
        self._read_at = float("-inf")
        self.pressing = False

    def look(self, alerts: Sequence[Alert], *, channels: Sequence[str], epoch: int) -> list[Alert]:
        """Ask the servers how they do, just after the ledger answered; what was written."""
        storage = self._butler.storage_apart
        seen = self._butler.health.servers(lambda: storage, connected=True)
        mine = [alert for alert in alerts if is_about_servers(alert)]
        red = any(check.level is HealthLevel.UNHEALTHY for check in seen.checks)
        if seen.now is None or not (red or any(a.state is not AlertState.RESOLVED for a in mine)):
            self._judge, self._read_at, self.pressing = Judge(), float("-inf"), False
            return []
        self._read(storage)
        standing = Standing(alerts=mine, silences=self._silences, channels=channels)
        measures = CheckMeasures(seen.checks, now=seen.now)
        changed = self._judge.decide(self._rules, measures, standing, now=seen.now)
        opens_in_s = self._judge.opens_in_s
        self.pressing = opens_in_s is not None and opens_in_s <= PRESSING_AT_MOST_S
        return storage.write_alerts(changed, epoch=epoch)

    def _read(self, storage: Storage) -> None:
        """Rules and silences, now and then: between two looks it matters that they are few."""
        now_s = self._butler.clock.monotonic()
        if now_s < self._read_at + READ_EVERY_S:
            return
        self._rules = [rule for rule in rules_of(storage) if rule.kind is RuleKind.HEALTH]
        self._silences, self._read_at = storage.silences(), now_s
