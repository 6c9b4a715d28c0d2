"""How the memory ledger does, and its alerts, rules and silences."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from butler.errors import InvalidOption
from butler.monitoring.alerts.alert import AlertPage, AlertState
from butler.storage.memory.pictures import read_picture
from butler.storage.monitoring import ALERTS_KEPT_DAYS

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence
    from datetime import datetime

    from butler.clock import Clock
    from butler.monitoring.alerts.alert import Alert, AlertQuery, Silence
    from butler.monitoring.alerts.rule import AlertRule
    from butler.storage.memory.recurring_rows import JobTable
    from butler.storage.memory.rows import RowTable
    from butler.storage.memory.workers import LeaderSeat, WorkerTable
    from butler.storage.monitoring_records import LedgerPicture

MAX_PAGE = 1_000


class MemoryMonitoring:
    """What makes a `MemoryStorage` a `MonitoringStorage`; everything happens under its lock."""

    _clock: Clock
    _lock: threading.Lock
    _rows: RowTable
    _workers: WorkerTable
    _seat: LeaderSeat
    _jobs: JobTable

    def __init__(self) -> None:
        super().__init__()
        self._alerts: dict[str, Alert] = {}
        self._rules: dict[str, AlertRule] = {}
        self._silences: dict[str, Silence] = {}

    def picture(self) -> LedgerPicture:
        """How the ledger does now."""
        with self._lock:
            return read_picture(
                rows=self._rows,
                jobs=self._jobs,
                workers=self._workers,
                leader=self._seat.read().holder,
                now=self._clock.now(),
            )

    def write_alerts(self, alerts: Sequence[Alert], *, epoch: int) -> list[Alert]:
        """Open and change alerts; those that were written."""
        with self._lock:
            if not self._seat.holds(epoch):
                return []
            written = []
            for alert in alerts:
                known = self._alerts.get(alert.id)
                if known is None and self._is_taken(alert):
                    continue
                self._alerts[alert.id] = alert if known is None else _merged(known, alert)
                written.append(self._alerts[alert.id])
            return written

    def alerts(self, query: AlertQuery) -> AlertPage:
        """A page of alerts, newest first."""
        if not 1 <= query.limit <= MAX_PAGE:
            raise InvalidOption(f"limit must be in 1..{MAX_PAGE}, got {query.limit}")
        with self._lock:
            ordered = sorted(self._alerts.values(), key=lambda alert: alert.id, reverse=True)
        found = [alert for alert in ordered if _matches(alert, query)]
        shown = found[: query.limit]
        more = len(found) > query.limit
        return AlertPage(alerts=tuple(shown), next_cursor=shown[-1].id if more else None)

    def get_alert(self, alert_id: str) -> Alert | None:
        """One alert; None when there is none."""
        with self._lock:
            return self._alerts.get(alert_id)

    def unsettled_alerts(self) -> list[Alert]:
        """Those that are not resolved, or whose messages are not all delivered; oldest first."""
        with self._lock:
            ordered = sorted(self._alerts.values(), key=lambda alert: alert.id)
        return [a for a in ordered if a.state is not AlertState.RESOLVED or a.outbox]

    def acknowledge_alert(self, alert_id: str, *, by: str | None) -> Alert | None:
        """Mark an open alert as seen; as it stands afterwards."""
        with self._lock:
            alert = self._alerts.get(alert_id)
            if alert is not None and alert.state is AlertState.OPEN:
                alert = replace(
                    alert,
                    state=AlertState.ACKNOWLEDGED,
                    acknowledged_at=self._clock.now(),
                    acknowledged_by=by,
                )
                self._alerts[alert_id] = alert
            return alert

    def prune_alerts(self, *, epoch: int) -> int:
        """Remove what has long been resolved, and silences that ended then."""
        with self._lock:
            if not self._seat.holds(epoch):
                return 0
            before = self._clock.now() - timedelta(days=ALERTS_KEPT_DAYS)
            alerts = [
                a.id for a in self._alerts.values() if a.resolved_at and a.resolved_at < before
            ]
            silences = [s.id for s in self._silences.values() if s.ends_at < before]
            for id_ in alerts:
                del self._alerts[id_]
            for id_ in silences:
                del self._silences[id_]
            return len(alerts) + len(silences)

    def alert_rules(self) -> list[AlertRule]:
        """The rules that were made or changed, by name."""
        with self._lock:
            return [self._rules[name] for name in sorted(self._rules)]

    def write_alert_rule(self, rule: AlertRule, *, version: int) -> bool:
        """Put a rule in the place of one at this version."""
        with self._lock:
            known = self._rules.get(rule.name)
            if (0 if known is None else known.version) != version:
                return False
            self._rules[rule.name] = replace(rule, version=version + 1, built_in=False)
            return True

    def delete_alert_rule(self, name: str) -> bool:
        """Remove a rule; whether it was there."""
        with self._lock:
            return self._rules.pop(name, None) is not None

    def add_silence(self, silence: Silence) -> None:
        """Add a silence; repeating it changes nothing."""
        with self._lock:
            self._silences.setdefault(silence.id, silence)

    def end_silence(self, silence_id: str, *, at: datetime) -> bool:
        """Let a silence end sooner; whether it held that long."""
        with self._lock:
            silence = self._silences.get(silence_id)
            if silence is None or silence.ends_at <= at:
                return False
            self._silences[silence_id] = replace(silence, ends_at=at)
            return True

    def silences(self) -> list[Silence]:
        """Silences that have not ended, soonest end first."""
        with self._lock:
            now = self._clock.now()
            held = [silence for silence in self._silences.values() if silence.ends_at > now]
        return sorted(held, key=lambda silence: (silence.ends_at, silence.id))

    def _is_taken(self, alert: Alert) -> bool:
        return any(
            other.key == alert.key and other.state is not AlertState.RESOLVED
            for other in self._alerts.values()
        )


def _merged(known: Alert, new: Alert) -> Alert:
    if known.state is AlertState.RESOLVED:
        return replace(known, outbox=new.outbox)
    seen = known.state is AlertState.ACKNOWLEDGED and new.state is AlertState.OPEN
    return replace(
        new,
        state=known.state if seen else new.state,
        acknowledged_at=known.acknowledged_at,
        acknowledged_by=known.acknowledged_by,
    )


def _matches(alert: Alert, query: AlertQuery) -> bool:
    return (
        (not query.states or alert.state in query.states)
        and query.rule in (None, alert.rule)
        and query.subject in (None, alert.subject)
        and (query.after is None or alert.id < query.after)
    )
