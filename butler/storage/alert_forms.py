"""Alerts and rules as the JSON that a ledger keeps."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from butler.monitoring.alerts.alert import Alert, AlertState, Notice, NoticeEvent
from butler.monitoring.alerts.rule import AlertRule, RuleKind, Severity
from butler.storage.values import clean_json

if TYPE_CHECKING:
    from collections.abc import Mapping

_TIMES = ("since", "opened_at", "updated_at", "escalated_at")
_COLUMNS = ("id", "state", "acknowledged_at", "acknowledged_by", "resolved_at")
_RULE_FIELDS = {field.name for field in fields(AlertRule)}


def alert_body(alert: Alert) -> dict[str, Any]:
    """All of an alert that has no column of its own."""
    form = {name: value for name, value in asdict(alert).items() if name not in _COLUMNS}
    for name in _TIMES:
        form[name] = None if form[name] is None else form[name].isoformat()
    cleaned: dict[str, Any] = clean_json(form)
    return cleaned


def alert_of(body: Mapping[str, Any], **columns: Any) -> Alert:
    """The alert of a body and its columns."""
    form = {**body, **columns}
    for name in _TIMES:
        form[name] = None if form[name] is None else datetime.fromisoformat(form[name])
    form["state"] = AlertState(form["state"])
    form["severity"] = Severity(form["severity"])
    form["channels"] = tuple(form["channels"])
    form["outbox"] = tuple(
        Notice(id=n["id"], event=NoticeEvent(n["event"]), channel=n["channel"])
        for n in form["outbox"]
    )
    return Alert(**form)


def rule_body(rule: AlertRule) -> dict[str, Any]:
    """All of a rule but its name and its version."""
    form: dict[str, Any] = clean_json(asdict(rule))
    del form["name"], form["version"], form["built_in"]
    return form


def rule_of(name: str, version: int, body: Mapping[str, Any]) -> AlertRule:
    """The rule of a body; what a newer release has added to it is not read."""
    form = {key: value for key, value in body.items() if key in _RULE_FIELDS}
    form["kind"] = RuleKind(form["kind"])
    form["severity"] = Severity(form["severity"])
    form["channels"] = tuple(form["channels"])
    form["escalate_to"] = tuple(form["escalate_to"])
    return AlertRule(name=name, version=version, **form)
