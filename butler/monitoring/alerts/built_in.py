"""The rules that hold without any configuration; docs/alerts.md has them as a table."""

from __future__ import annotations

from butler.monitoring.alerts.rule import AlertRule, RuleKind, Severity

_K = RuleKind


def _rule(name: str, kind: RuleKind, description: str, **options: object) -> AlertRule:
    return AlertRule(name=name, kind=kind, description=description, built_in=True, **options)  # type: ignore[arg-type]


BUILT_IN: tuple[AlertRule, ...] = (
    _rule(
        "task-fails-in-a-row",
        _K.CONSECUTIVE_FAILURES,
        "executions of a task failed since one succeeded",
        threshold=5,
        window_s=86_400.0,
        resolve_after_s=0.0,
    ),
    _rule(
        "task-failure-rate",
        _K.FAILURE_RATE,
        "share of a task's executions that failed in the last 10 minutes, of 20 at least",
        threshold=0.25,
        resolve_below=0.5,
    ),
    _rule(
        "task-runs-too-long",
        _K.RUN_TIME,
        "an execution has run for so many times the 95th percentile of its task's last successes",
        threshold=5.0,
        window_s=86_400.0,
        resolve_after_s=0.0,
    ),
    _rule(
        "recurring-job-late",
        _K.LATE_FIRE,
        "seconds since a recurring job should have fired",
        threshold=60.0,
        severity=Severity.CRITICAL,
        resolve_after_s=0.0,
    ),
    _rule(
        "recurring-job-missed",
        _K.MISSED_FIRE,
        "fire times that passed while nobody could fire, in the last 10 minutes",
        threshold=1,
        resolve_after_s=0.0,
    ),
    _rule(
        "recurring-job-broken",
        _K.JOB_BROKEN,
        "a recurring job that cannot fire",
        severity=Severity.CRITICAL,
        resolve_after_s=0.0,
    ),
    _rule(
        "recurring-job-fails",
        _K.JOB_FAILING,
        "executions of a recurring job failed since one succeeded",
        threshold=3,
        window_s=7 * 86_400.0,
        resolve_after_s=0.0,
    ),
    _rule(
        "queue-waits-too-long",
        _K.QUEUE_AGE,
        "seconds the oldest execution on a queue has waited, while workers serve it",
        threshold=300.0,
        resolve_below=0.5,
        resolve_after_s=30.0,
    ),
    _rule(
        "queue-too-deep",
        _K.QUEUE_DEPTH,
        "executions that wait on a queue",
        threshold=50_000,
        resolve_below=0.8,
        resolve_after_s=30.0,
    ),
    _rule(
        "queue-without-worker",
        _K.NO_WORKER,
        "seconds that work has waited on a queue which no worker serves",
        threshold=30.0,
        severity=Severity.CRITICAL,
        resolve_after_s=0.0,
    ),
    _rule(
        "worker-lost",
        _K.LOST_WORKER,
        "workers of a host that died or fell silent within the last 5 minutes",
        threshold=1,
        window_s=300.0,
        resolve_after_s=0.0,
    ),
    _rule(
        "task-kills-its-process",
        _K.POISON_TASK,
        "executions that were ended because they killed their process three times, in an hour",
        threshold=1,
        window_s=3_600.0,
        severity=Severity.CRITICAL,
        resolve_after_s=0.0,
    ),
    _rule(
        "task-unknown",
        _K.UNKNOWN_TASK,
        "seconds that executions have waited for a worker that knows their task",
        threshold=600.0,
        resolve_after_s=0.0,
    ),
    _rule(
        "health-check-red",
        _K.HEALTH,
        "a server, the schema, the clock or a check of your own is unhealthy",
        open_after_s=10.0,
        resolve_after_s=30.0,
        severity=Severity.CRITICAL,
    ),
    _rule(
        "channel-broken",
        _K.CHANNEL,
        "tries to deliver a message that failed, one after the other",
        threshold=3,
        resolve_after_s=0.0,
    ),
)

BY_NAME = {rule.name: rule for rule in BUILT_IN}
