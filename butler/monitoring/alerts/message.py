"""What a message says: what, since when, how much, the likely cause, what to do, a link (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from butler.durations import seconds_text
from butler.ids import new_id
from butler.monitoring.alerts.alert import AlertState, Notice, NoticeEvent

if TYPE_CHECKING:
    from datetime import datetime

    from butler.monitoring.alerts.alert import Alert
    from butler.settings import Settings

_PASSWORD = re.compile(r"(?<=://)[^\s/@]*:[^\s/@]*(?=@)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message; ``id`` stays the same when it is sent again, so that a receiver may drop it."""

    id: str
    event: NoticeEvent
    title: str
    body: str
    at: datetime
    alert: Alert | None = None
    link: str | None = None

    def to_json(self) -> dict[str, Any]:
        """What a webhook posts."""
        form: dict[str, Any] = {
            "id": self.id,
            "event": str(self.event),
            "title": self.title,
            "text": self.body,
            "at": self.at.isoformat(),
            "link": self.link,
        }
        if self.alert is not None:
            form["alert"] = _alert_form(self.alert)
        return form


def message_of(alert: Alert, notice: Notice, *, public_url: str | None) -> Message:
    """The message that a notice stands for."""
    link = None if public_url is None else f"{public_url.rstrip('/')}/alerts/{alert.id}"
    at = alert.resolved_at if notice.event is NoticeEvent.RESOLVED else alert.updated_at
    return Message(
        id=notice.id,
        event=notice.event,
        title=without_passwords(_title(alert, notice.event)),
        body=without_passwords("\n".join(_lines(alert, notice.event, link))),
        at=at or alert.updated_at,
        alert=alert,
        link=link,
    )


def trial_message(channel: str, *, at: datetime, settings: Settings) -> Message:
    """What is sent to see whether a channel works."""
    return Message(
        id=new_id(),
        event=NoticeEvent.TEST,
        title="[test] Butler can reach you",
        body=f"This is a test of the alert channel {channel}. Nothing is wrong.",
        at=at,
        link=settings.web_public_url,
    )


def without_passwords(text: str) -> str:
    """The text, with user and password of each URL in it masked."""
    return _PASSWORD.sub("***", text)


def _title(alert: Alert, event: NoticeEvent) -> str:
    word = {
        NoticeEvent.OPENED: str(alert.severity),
        NoticeEvent.ESCALATED: f"{alert.severity}, not acknowledged",
    }.get(event, str(event))
    return f"[{word}] {alert.summary}"


def _lines(alert: Alert, event: NoticeEvent, link: str | None) -> list[str]:
    lines = [alert.summary, f"since {alert.since:%Y-%m-%d %H:%M:%S} UTC"]
    if event is NoticeEvent.RESOLVED and alert.resolved_at is not None:
        lasted_s = (alert.resolved_at - alert.since).total_seconds()
        lines[-1] += f", over after {seconds_text(max(lasted_s, 0.0))}"
    if alert.cause:
        lines.append(f"likely cause: {alert.cause}")
    if alert.remedy and alert.state is not AlertState.RESOLVED:
        lines.append(f"what to do: {alert.remedy}")
    lines.append(f"rule: {alert.rule}")
    if alert.execution_id is not None:
        lines.append(f"for example: execution {alert.execution_id}")
    if link is not None:
        lines.append(link)
    return lines


def _alert_form(alert: Alert) -> dict[str, Any]:
    resolved = alert.resolved_at
    return {
        "id": alert.id,
        "rule": alert.rule,
        "kind": alert.kind,
        "subject": alert.subject,
        "state": str(alert.state),
        "severity": str(alert.severity),
        "since": alert.since.isoformat(),
        "opened_at": alert.opened_at.isoformat(),
        "resolved_at": None if resolved is None else resolved.isoformat(),
        "value": alert.value,
        "summary": without_passwords(alert.summary),
        "cause": without_passwords(alert.cause),
        "remedy": alert.remedy,
        "execution_id": alert.execution_id,
    }
