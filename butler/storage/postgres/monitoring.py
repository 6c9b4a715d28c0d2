"""How a PostgreSQL ledger does, and its alerts, rules and silences."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from butler.errors import InvalidOption
from butler.lifecycle import WAITING_FOR_WORKER
from butler.monitoring.alerts.alert import AlertPage, AlertState, Silence
from butler.storage.alert_forms import alert_body, alert_of, rule_body, rule_of
from butler.storage.monitoring import ALERTS_KEPT_DAYS
from butler.storage.monitoring_records import (
    ENDS_SEEN,
    FAILURES_SEEN,
    FIRES_SEEN,
    INTERNAL_QUEUE,
    OVERDUE_AFTER_S,
    QUEUED_SEEN,
    LedgerPicture,
)
from butler.storage.postgres import literals, pictures, rows
from butler.storage.values import clean_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from butler.monitoring.alerts.alert import Alert, AlertQuery
    from butler.monitoring.alerts.rule import AlertRule
    from butler.storage.postgres.connections import PostgresConnections

MAX_PAGE = 1_000


class PostgresMonitoring:
    """What makes a `PostgresStorage` a `MonitoringStorage`."""

    _connections: PostgresConnections

    def picture(self) -> LedgerPicture:
        """How the ledger does now: a statement for each part, so that none stays open for long."""
        began = time.monotonic()
        run, internal = self._connections.run, {"internal": INTERNAL_QUEUE}
        queued = run("picture_queues", {**internal, "seen": str(QUEUED_SEEN)})
        now, leader = queued[0][:2]
        reasons = literals.texts(sorted(WAITING_FOR_WORKER))
        seen = {"seen": str(ENDS_SEEN)}
        ends = run("picture_ends", {**internal, **seen, "failures": str(FAILURES_SEEN)})
        jobs = run("picture_jobs", {"overdue_s": repr(OVERDUE_AFTER_S)})
        return LedgerPicture(
            now=rows.in_utc(now),
            leader=leader,
            queues=tuple(pictures.queue(row) for row in queued if row[2] is not None),
            waiting=tuple(map(pictures.waiting, run("picture_waiting", {"reasons": reasons}))),
            running=tuple(map(pictures.running, run("picture_running", {**internal, **seen}))),
            ends=tuple(map(pictures.end, ends)),
            workers=tuple(map(rows.worker, run("workers"))),
            jobs=tuple(map(pictures.job, jobs)),
            fires=tuple(map(pictures.fire, run("picture_fires", {"seen": str(FIRES_SEEN)}))),
            took_s=time.monotonic() - began,
        )

    def write_alerts(self, alerts: Sequence[Alert], *, epoch: int) -> list[Alert]:
        """Open and change alerts; those that were written."""
        if not alerts:
            return []
        params = {
            "epoch": str(epoch),
            "ids": literals.uuids([alert.id for alert in alerts]),
            "rules": literals.texts([clean_text(alert.rule) for alert in alerts]),
            "subjects": literals.texts([clean_text(alert.subject) for alert in alerts]),
            "states": literals.texts([str(alert.state) for alert in alerts]),
            "resolved": literals.times([alert.resolved_at for alert in alerts]),
            "pending": literals.flags([bool(alert.outbox) for alert in alerts]),
            "bodies": literals.texts([json.dumps(alert_body(alert)) for alert in alerts]),
        }
        return [_alert(row) for row in self._connections.run("write_alerts", params)]

    def alerts(self, query: AlertQuery) -> AlertPage:
        """A page of alerts, newest first."""
        if not 1 <= query.limit <= MAX_PAGE:
            raise InvalidOption(f"limit must be in 1..{MAX_PAGE}, got {query.limit}")
        if query.after is not None and not literals.is_uuid(query.after):
            raise InvalidOption(f"after must be the next_cursor of a page, got {query.after!r}")
        states = [str(state) for state in sorted(query.states)]
        params = {
            "states": literals.texts(states) if states else None,
            "rule": clean_text(query.rule),
            "subject": clean_text(query.subject),
            "after": query.after,
            "limit": str(query.limit + 1),
        }
        found = [_alert(row) for row in self._connections.run("alerts_find", params)]
        shown = found[: query.limit]
        more = len(found) > query.limit
        return AlertPage(alerts=tuple(shown), next_cursor=shown[-1].id if more else None)

    def get_alert(self, alert_id: str) -> Alert | None:
        """One alert; None when there is none."""
        if not literals.is_uuid(alert_id):
            return None
        for row in self._connections.run("alerts_get", {"id": alert_id}):
            return _alert(row)
        return None

    def unsettled_alerts(self) -> list[Alert]:
        """Those that are not resolved, or whose messages are not all delivered; oldest first."""
        return [_alert(row) for row in self._connections.run("alerts_unsettled", hot=True)]

    def acknowledge_alert(self, alert_id: str, *, by: str | None) -> Alert | None:
        """Mark an open alert as seen; as it stands afterwards."""
        if not literals.is_uuid(alert_id):
            return None
        self._connections.run("alerts_acknowledge", {"id": alert_id, "by": clean_text(by)})
        return self.get_alert(alert_id)

    def prune_alerts(self, *, epoch: int) -> int:
        """Remove what has long been resolved, and silences that ended then."""
        params = {"epoch": str(epoch), "kept": f"{ALERTS_KEPT_DAYS} days"}
        return int(self._connections.run("prune_alerts", params)[0][0])

    def alert_rules(self) -> list[AlertRule]:
        """The rules that were made or changed, by name."""
        return [rule_of(*row) for row in self._connections.run("alert_rules")]

    def write_alert_rule(self, rule: AlertRule, *, version: int) -> bool:
        """Put a rule in the place of one at this version."""
        params = {
            "name": rule.name,
            "version": str(version),
            "body": json.dumps(rule_body(rule)),
        }
        return bool(self._connections.run("alert_rule_write", params))

    def delete_alert_rule(self, name: str) -> bool:
        """Remove a rule; whether it was there."""
        return bool(self._connections.run("alert_rule_delete", {"name": name}))

    def add_silence(self, silence: Silence) -> None:
        """Add a silence; repeating it changes nothing."""
        params = {
            "id": silence.id,
            "rule": clean_text(silence.rule),
            "subject": clean_text(silence.subject),
            "starts_at": silence.starts_at.isoformat(),
            "ends_at": silence.ends_at.isoformat(),
            "reason": clean_text(silence.reason),
            "created_by": clean_text(silence.created_by),
        }
        self._connections.run("silence_add", params)

    def end_silence(self, silence_id: str, *, at: datetime) -> bool:
        """Let a silence end sooner; whether it held that long."""
        if not literals.is_uuid(silence_id):
            return False
        params = {"id": silence_id, "at": at.isoformat()}
        return bool(self._connections.run("silence_end", params))

    def silences(self) -> list[Silence]:
        """Silences that have not ended, soonest end first."""
        return [_silence(row) for row in self._connections.run("silences")]


def _alert(row: Sequence[Any]) -> Alert:
    """The columns of write_alerts and the alerts_* reads."""
    id_, state, acknowledged_at, acknowledged_by, resolved_at, body = row
    return alert_of(
        body,
        id=id_,
        state=AlertState(state),
        acknowledged_at=rows.maybe_utc(acknowledged_at),
        acknowledged_by=acknowledged_by,
        resolved_at=rows.maybe_utc(resolved_at),
    )


def _silence(row: Sequence[Any]) -> Silence:
    """The columns of silences."""
    id_, rule, subject, starts_at, ends_at, reason, created_by = row
    return Silence(
        id=id_,
        rule=rule,
        subject=subject,
        starts_at=rows.in_utc(starts_at),
        ends_at=rows.in_utc(ends_at),
        reason=reason,
        created_by=created_by,
    )
