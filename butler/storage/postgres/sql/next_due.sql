-- Seconds until the next execution is due; for floor see stage.sql.
SELECT extract(epoch FROM e.run_at - now())::double precision
FROM {schema}.executions AS e
WHERE e.status IN ('scheduled', 'retrying')
    AND e.run_at >= coalesce(%(floor)s::timestamptz, '-infinity')
ORDER BY e.run_at
LIMIT 1
