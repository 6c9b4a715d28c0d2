"""Which alerts exist for a caller with a scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from butler.monitoring.alerts.rule import RuleKind
from butler.web.job_scopes import is_task_visible
from butler.web.job_scopes import is_visible as is_job_visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from butler.monitoring.alerts.alert import Alert
    from butler.web.callers import Caller
    from butler.web.services import Web


def visible_alerts(web: Web, caller: Caller, alerts: Sequence[Alert]) -> list[Alert]:
    """Those about a queue, task or job of the caller's, with an execution of theirs if any."""
    if caller.scope.everything:
        return list(alerts)
    ids = [alert.execution_id for alert in alerts if alert.execution_id is not None]
    foreign = {
        standing.id
        for standing in web.butler.storage.standings(ids)
        if not caller.scope.holds(queue=standing.queue, tags=standing.tags)
    }
    return [
        alert
        for alert in alerts
        if alert.execution_id not in foreign
        and _holds_subject(web, caller, RuleKind(alert.kind), alert.subject)
    ]


def _holds_subject(web: Web, caller: Caller, kind: RuleKind, subject: str) -> bool:
    match kind:
        case RuleKind.QUEUE_AGE | RuleKind.QUEUE_DEPTH | RuleKind.NO_WORKER:
            return caller.scope.holds_all_of(subject)
        case (
            RuleKind.CONSECUTIVE_FAILURES
            | RuleKind.FAILURE_RATE
            | RuleKind.RUN_TIME
            | RuleKind.RUN_TIME_P95
            | RuleKind.POISON_TASK
            | RuleKind.UNKNOWN_TASK
        ):
            return is_task_visible(web, caller, subject)
        case RuleKind.LATE_FIRE | RuleKind.MISSED_FIRE | RuleKind.JOB_BROKEN | RuleKind.JOB_FAILING:
            job = web.butler.recurring.find(subject)
            return job is not None and is_job_visible(web, caller, job)
        case RuleKind.LOST_WORKER | RuleKind.HEALTH | RuleKind.CHANNEL:
            return False
    assert_never(kind)
