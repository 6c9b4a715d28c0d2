"""Health, alerts and their rules, as HTTP knows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from butler.durations import LONGEST_S
from butler.monitoring.alerts.alert import AlertState
from butler.monitoring.alerts.alerts import LONGEST_SILENCE_S
from butler.monitoring.alerts.rule import RuleKind, Severity
from butler.monitoring.health.verdict import HealthLevel
from butler.web.models.base import Given, Moment, Shown, given_like

_Pattern = Annotated[str, Field(min_length=1, max_length=500)]
_Seconds = Annotated[float, Field(ge=0, le=LONGEST_S)]
_Names = Annotated[list[Annotated[str, Field(min_length=1, max_length=50)]], Field(max_length=50)]


class ShownCheck(Shown):
    """The result of one check."""

    name: str
    level: HealthLevel
    reason: str
    remedy: str | None
    subject: str | None = Field(description="The queue, task, job or host it is about.")


class ShownHealth(Shown):
    """All checks, the worst first; `level` is that of the worst."""

    level: HealthLevel
    at: datetime
    checks: list[ShownCheck]


class ShownAlert(Shown):
    """Something is, or was, wrong with `subject`, as `rule` sees it."""

    id: str
    rule: str
    kind: RuleKind
    subject: str = Field(description="The task, queue, job, host, check or channel.")
    state: AlertState
    severity: Severity
    since: datetime = Field(description="When the trouble began.")
    opened_at: datetime
    updated_at: datetime
    value: float = Field(description="How much, in the rule's unit.")
    summary: str
    cause: str = Field(description="The likely one.")
    remedy: str = Field(description="What to do.")
    execution_id: str | None = Field(description="One to look at.")
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    escalated_at: datetime | None
    resolved_at: datetime | None
    silenced: bool = Field(description="Nobody was told.")
    channels: list[str]


class AlertList(Shown):
    """A page of alerts, newest first."""

    alerts: list[ShownAlert]
    next_cursor: str | None = Field(description="Of the next page; null on the last one.")


class NewSilence(Given):
    """Which alerts nobody is to be told of, and how long; patterns have `*`, `?` and `[…]`."""

    model_config = given_like(
        {"rule": "queue-*", "subject": "mail", "for_s": 3600, "reason": "migration"}
    )

    for_s: float = Field(gt=0, le=LONGEST_SILENCE_S)
    rule: _Pattern = "*"
    subject: _Pattern = "*"
    reason: str = Field("", max_length=1_000)
    starts_at: Moment | None = Field(None, description="Now, unless given.")


class ShownSilence(Shown):
    """From `starts_at` until `ends_at` nobody is told of matching alerts; they open as ever."""

    id: str
    rule: str
    subject: str
    starts_at: datetime
    ends_at: datetime
    reason: str
    created_by: str | None


class SilenceList(Shown):
    """Silences that have not ended, soonest end first."""

    silences: list[ShownSilence]


class RuleGiven(Given):
    """What may be said about a rule; what is null goes back to its default."""

    model_config = given_like({"threshold": 60, "severity": "critical", "channels": ["ops"]})

    threshold: float | None = Field(None, ge=0, le=1e15)
    applies_to: _Pattern | None = None
    window_s: _Seconds | None = None
    at_least: int | None = Field(None, ge=0, le=10**15)
    open_after_s: _Seconds | None = None
    resolve_after_s: _Seconds | None = None
    resolve_below: float | None = Field(None, ge=0, le=1)
    severity: Severity | None = None
    channels: _Names | None = None
    escalate_after_s: _Seconds | None = None
    escalate_to: _Names | None = None
    enabled: bool | None = None
    description: str | None = Field(None, max_length=1_000)

    def options(self) -> dict[str, Any]:
        """Those that were given, some as None."""
        return {
            name: getattr(self, name)
            for name in RuleGiven.model_fields
            if name in self.model_fields_set
        }


class NewRule(RuleGiven):
    """A rule to be made; what it does not say is as in the built-in rule of its kind."""

    model_config = given_like(
        {"name": "reports-are-slow", "kind": "run_time_p95", "applies_to": "report*"}
    )

    name: str = Field(min_length=1, max_length=100)
    kind: RuleKind


class ShownAlertRule(Shown):
    """When to alert, about what, and whom to tell."""

    name: str
    kind: RuleKind
    threshold: float = Field(description="Seconds, a count or a share, by its kind.")
    applies_to: str
    window_s: float
    at_least: int
    open_after_s: float
    resolve_after_s: float
    resolve_below: float
    severity: Severity
    channels: list[str] = Field(description="Empty for all.")
    escalate_after_s: float | None
    escalate_to: list[str]
    enabled: bool
    description: str
    built_in: bool
    version: int = Field(description="What `If-Match` takes, in quotes.")


class RuleList(Shown):
    """All rules, the built-in ones first."""

    rules: list[ShownAlertRule]


class ChannelList(Shown):
    """The names of the channels that alerts are told through."""

    channels: list[str]


class Tested(Shown):
    """A channel took a test message."""

    channel: str
