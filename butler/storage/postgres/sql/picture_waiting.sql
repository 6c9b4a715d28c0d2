-- What no worker knows, and since when the first of them was handed back. Such rows are tried again
-- within 30 s: those due much later need no look, and 10,000 of them say enough.
WITH waiting AS MATERIALIZED (
    SELECT e.id, e.task, e.reason, e.created_at
    FROM {schema}.executions AS e
    WHERE e.status IN ('scheduled', 'retrying')
        AND e.run_at <= now() + interval '1 minute'
        AND e.reason = ANY (%(reasons)s::text[])
    LIMIT 10000
)
SELECT w.task, w.reason, count(*)::integer, min(coalesce(tried.at, w.created_at))
FROM waiting AS w
LEFT JOIN LATERAL (
    SELECT min(a.finished_at) AS at
    FROM {schema}.execution_attempts AS a
    WHERE a.execution_id = w.id
) AS tried ON true
GROUP BY w.task, w.reason
ORDER BY w.task, w.reason
