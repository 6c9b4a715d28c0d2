"""One module a resource; the more special paths of one come before those with a name in them."""

from butler.web.api import (
    access,
    alert_rules,
    alert_telling,
    alerts,
    execution_steps,
    executions,
    health,
    limits,
    metrics,
    probes,
    queues,
    recurring_jobs,
    recurring_steps,
    stats,
    streams,
    tasks,
    workers,
)

PROBES = probes.router
METRICS = metrics.router
RESOURCES = (
    tasks.router,
    execution_steps.router,
    streams.executions,
    executions.router,
    recurring_steps.router,
    recurring_jobs.router,
    queues.router,
    limits.router,
    workers.router,
    stats.router,
    health.router,
    alerts.router,
    alert_rules.router,
    alert_telling.silences,
    alert_telling.channels,
    access.tokens,
    streams.events,
    access.audit,
    access.me,
)
