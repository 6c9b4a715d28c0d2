"""`Judge`: which alerts open, change and are resolved (it decides, and acts on nothing).

Two things keep an alert from flapping: a condition must hold for ``open_after_s`` before it opens;
and it must not hold for ``resolve_after_s``, nor stand above ``resolve_below`` of its threshold,
before it is resolved. How long either has been so is remembered here alone: a scheduler that begins
to lead counts anew, which delays an alert and never loses one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from butler.ids import new_id
from butler.monitoring.alerts.alert import Alert, AlertState, Notice, NoticeEvent
from butler.monitoring.alerts.rule import RuleKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from butler.monitoring.alerts.alert import Silence
    from butler.monitoring.alerts.measure import Measure
    from butler.monitoring.alerts.measuring import CheckMeasures, Measures
    from butler.monitoring.alerts.rule import AlertRule

UPDATE_EVERY_S = 60.0

Key = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the ledger holds: unresolved alerts, silences, and the channels that are set up."""

    alerts: Sequence[Alert]
    silences: Sequence[Silence]
    channels: Sequence[str]


class Judge:
    """Holds rules against measures, look by look."""

    def __init__(self) -> None:
        self._breached: dict[Key, datetime] = {}
        self._cleared: dict[Key, datetime] = {}
        self.opens_in_s: float | None = None
        """How soon the next alert opens, if what was last seen goes on; None when nothing waits."""

    def decide(
        self,
        rules: Sequence[AlertRule],
        measures: Measures | CheckMeasures,
        standing: Standing,
        *,
        now: datetime,
    ) -> list[Alert]:
        """The alerts to be written, as they are to be."""
        self.opens_in_s = None
        unresolved = {a.key: a for a in standing.alerts if a.state is not AlertState.RESOLVED}
        look = _Look(standing=standing, now=now)
        changed: list[Alert | None] = []
        seen: set[Key] = set()
        for rule in rules:
            if not rule.enabled:
                continue
            for measure in measures.of(rule):
                key = (rule.name, measure.subject)
                known = unresolved.get(key)
                if not _holds(rule, measure, is_open=known is not None):
                    continue
                seen.add(key)
                changed.append(self._held(rule, measure, known, look))
        by_name = {rule.name: rule for rule in rules if rule.enabled}
        for key, alert in unresolved.items():
            if key not in seen:
                changed.append(self._gone(by_name.get(alert.rule), alert, look))
        self._forget(seen, unresolved)
        return [alert for alert in changed if alert is not None]

    def _held(
        self, rule: AlertRule, measure: Measure, known: Alert | None, look: _Look
    ) -> Alert | None:
        key = (rule.name, measure.subject)
        self._cleared.pop(key, None)
        if known is not None:
            return _updated(rule, measure, known, look)
        since = self._breached.setdefault(key, look.now)
        left_s = rule.open_after_s - (look.now - since).total_seconds()
        if left_s > 0:
            self.opens_in_s = min(left_s, left_s if self.opens_in_s is None else self.opens_in_s)
            return None
        return look.told(_new_alert(rule, measure, look.now), NoticeEvent.OPENED)

    def _gone(self, rule: AlertRule | None, alert: Alert, look: _Look) -> Alert | None:
        """What does not hold any more; a rule that is gone or off resolves at once."""
        since = self._cleared.setdefault(alert.key, look.now)
        wait_s = 0.0 if rule is None else rule.resolve_after_s
        if (look.now - since).total_seconds() < wait_s:
            return None
        over = replace(alert, state=AlertState.RESOLVED, resolved_at=look.now, updated_at=look.now)
        # Who was not told of the trouble need not be told of its end.
        return over if alert.silenced else look.told(over, NoticeEvent.RESOLVED)

    def _forget(self, seen: set[Key], unresolved: Mapping[Key, Alert]) -> None:
        self._breached = {key: at for key, at in self._breached.items() if key in seen}
        self._cleared = {key: at for key, at in self._cleared.items() if key in unresolved}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """One moment, and whom to tell in it."""

    standing: Standing
    now: datetime

    def is_silenced(self, alert: Alert) -> bool:
        silences = self.standing.silences
        return any(each.covers(alert.rule, alert.subject, now=self.now) for each in silences)

    def told(self, alert: Alert, event: NoticeEvent, *, channels: Sequence[str] = ()) -> Alert:
        """The alert with a notice for each channel, or marked as silenced."""
        if event is NoticeEvent.OPENED and self.is_silenced(alert):
            return replace(alert, silenced=True)
        wanted = channels or alert.channels or self.standing.channels
        # That a channel is broken is told through the others.
        broken = alert.subject if alert.kind == RuleKind.CHANNEL else None
        names = [name for name in wanted if name in self.standing.channels and name != broken]
        notices = tuple(Notice(id=new_id(), event=event, channel=name) for name in names)
        return replace(alert, silenced=False, outbox=(*alert.outbox, *notices))


def _holds(rule: AlertRule, measure: Measure, *, is_open: bool) -> bool:
    if measure.value >= rule.threshold:
        return True
    return is_open and measure.value > rule.threshold * rule.resolve_below


def _new_alert(rule: AlertRule, measure: Measure, now: datetime) -> Alert:
    return Alert(
        id=new_id(),
        rule=rule.name,
        kind=str(rule.kind),
        subject=measure.subject,
        state=AlertState.OPEN,
        severity=rule.severity,
        since=measure.since,
        opened_at=now,
        updated_at=now,
        value=float(measure.value),
        summary=measure.summary,
        cause=measure.cause,
        remedy=measure.remedy,
        execution_id=measure.execution_id,
        channels=rule.channels,
    )


def _updated(rule: AlertRule, measure: Measure, known: Alert, look: _Look) -> Alert | None:
    """What has changed of an alert that is open: its words now and then, and who is to be told."""
    fresh = replace(
        known,
        value=float(measure.value),
        summary=measure.summary,
        cause=measure.cause,
        updated_at=look.now,
    )
    if known.silenced and not look.is_silenced(known):
        return look.told(fresh, NoticeEvent.OPENED)
    open_s = (look.now - known.opened_at).total_seconds()
    unseen = known.state is AlertState.OPEN and known.escalated_at is None and not known.silenced
    if unseen and rule.escalate_after_s is not None and open_s >= rule.escalate_after_s:
        escalated = replace(fresh, escalated_at=look.now)
        return look.told(escalated, NoticeEvent.ESCALATED, channels=rule.escalate_to)
    changed = known.summary != measure.summary
    stale = (look.now - known.updated_at).total_seconds() >= UPDATE_EVERY_S
    return fresh if changed and stale else None
