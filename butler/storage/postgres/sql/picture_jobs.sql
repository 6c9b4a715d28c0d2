-- Recurring jobs that are overdue, and those that cannot fire.
SELECT j.id::text, j.name, j.task, j.due_at, j.broken_reason
FROM {schema}.recurring_jobs AS j
WHERE j.enabled
    AND j.due_at < now() - make_interval(secs => %(overdue_s)s::double precision)
UNION
SELECT j.id::text, j.name, j.task, j.due_at, j.broken_reason
FROM {schema}.recurring_jobs AS j
WHERE j.enabled
    AND j.broken_reason IS NOT NULL
LIMIT 1000
