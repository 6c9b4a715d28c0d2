-- What no worker knows. Such rows are tried again within 30 s: those due much later need no look.
SELECT e.task, e.reason, count(*)::integer, min(e.created_at)
FROM {schema}.executions AS e
WHERE e.status IN ('scheduled', 'retrying')
    AND e.run_at <= now() + interval '1 minute'
    AND e.reason = ANY (%(reasons)s::text[])
GROUP BY e.task, e.reason
ORDER BY e.task, e.reason
