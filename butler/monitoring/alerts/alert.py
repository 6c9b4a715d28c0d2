"""What an alert is, and a silence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from butler.monitoring.alerts.rule import Severity


class AlertState(StrEnum):
    """``open`` until somebody says that he looks at it, ``resolved`` when it is over."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class NoticeEvent(StrEnum):
    """What a message tells."""

    OPENED = "opened"
    ESCALATED = "escalated"
    RESOLVED = "resolved"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message to one channel; ``id`` is its execution's, and stays the same in each try."""

    id: str
    event: NoticeEvent
    channel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something is, or was, wrong with ``subject``, as ``rule`` sees it.

    ``since`` is when the trouble began, ``opened_at`` when it was noticed. ``summary`` says what,
    ``cause`` the likely reason, ``remedy`` what to do, ``value`` how much (in the rule's unit).
    ``silenced`` says that nobody was told. ``outbox`` are messages that are not yet delivered.
    """

    id: str
    rule: str
    kind: str
    subject: str
    state: AlertState
    severity: Severity
    since: datetime
    opened_at: datetime
    updated_at: datetime
    value: float
    summary: str
    cause: str = ""
    remedy: str = ""
    execution_id: str | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    escalated_at: datetime | None = None
    resolved_at: datetime | None = None
    silenced: bool = False
    channels: tuple[str, ...] = ()
    outbox: tuple[Notice, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """What there is only one unresolved alert of."""
        return self.rule, self.subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """From ``starts_at`` until ``ends_at`` nobody is told of matching alerts.

    They open and are resolved all the same.
    ``rule`` and ``subject`` are patterns.
    """

    id: str
    rule: str
    subject: str
    starts_at: datetime
    ends_at: datetime
    reason: str = ""
    created_by: str | None = None

    def covers(self, rule: str, subject: str, *, now: datetime) -> bool:
        """Whether it holds now, for an alert of that rule about that."""
        holds = self.starts_at <= now < self.ends_at
        return holds and fnmatchcase(rule, self.rule) and fnmatchcase(subject, self.subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertQuery:
    """Which alerts to list, newest first; every filter must hold. ``limit`` is 1..1000."""

    states: frozenset[AlertState] = frozenset()
    rule: str | None = None
    subject: str | None = None
    after: str | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertPage:
    """A page of alerts; ``next_cursor`` is None on the last one."""

    alerts: tuple[Alert, ...]
    next_cursor: str | None
