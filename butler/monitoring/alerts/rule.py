"""What an alert rule is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase


class RuleKind(StrEnum):
    """What a rule looks at. docs/alerts.md says of each what ``threshold`` means."""

    CONSECUTIVE_FAILURES = "consecutive_failures"
    FAILURE_RATE = "failure_rate"
    RUN_TIME = "run_time"
    RUN_TIME_P95 = "run_time_p95"
    LATE_FIRE = "late_fire"
    MISSED_FIRE = "missed_fire"
    JOB_BROKEN = "job_broken"
    JOB_FAILING = "job_failing"
    QUEUE_AGE = "queue_age"
    QUEUE_DEPTH = "queue_depth"
    NO_WORKER = "no_worker"
    LOST_WORKER = "lost_worker"
    POISON_TASK = "poison_task"
    UNKNOWN_TASK = "unknown_task"
    HEALTH = "health"
    CHANNEL = "channel"


class Severity(StrEnum):
    """How bad it is: ``critical`` wants a person now, ``warning`` today."""

    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """When to alert, about what, and whom to tell.

    ``applies_to`` is a pattern (``*``, ``?``, ``[…]``) of what the rule is about: tasks, queues,
    recurring jobs, hosts or checks, by its kind. An alert opens when the condition has held for
    ``open_after_s``, and is resolved when it has not held for ``resolve_after_s``; a condition with
    a number also has to come back below ``resolve_below`` (a share of ``threshold``, 0..1) first.
    ``window_s`` is how far a rule looks back, ``at_least`` how many executions it needs to judge.
    ``channels`` are names of channels, none for all. ``escalate_to`` is told as well when nobody
    has acknowledged for ``escalate_after_s``. ``built_in`` rules can be changed, and
    switched off by ``enabled``. ``version`` grows with each change, 0 where a built-in rule is as
    it came.
    """

    name: str
    kind: RuleKind
    threshold: float = 0.0
    applies_to: str = "*"
    window_s: float = 600.0
    at_least: int = 20
    open_after_s: float = 0.0
    resolve_after_s: float = 60.0
    resolve_below: float = 1.0
    severity: Severity = Severity.WARNING
    channels: tuple[str, ...] = ()
    escalate_after_s: float | None = None
    escalate_to: tuple[str, ...] = ()
    enabled: bool = True
    description: str = ""
    built_in: bool = False
    version: int = 0

    def covers(self, subject: str) -> bool:
        """Whether this rule is about that."""
        return self.applies_to == "*" or fnmatchcase(subject, self.applies_to)
