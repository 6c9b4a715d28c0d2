"""One module a resource; the more special paths of one come before those with a name in them."""

from butler.web.api import (
    access,
    execution_steps,
    executions,
    limits,
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
    access.tokens,
    access.audit,
    access.me,
)
