-- Seconds until the next execution is due; for floor see stage.sql.
SELECT extract(epoch FROM e.run_at - now())::double precision
FROM {schema}.executions AS e
WHERE e.status IN ('scheduled', 'retrying')
    AND e.run_at >= coalesce(%(floor)s::timestamptz, '-infinity')
    AND (e.expires_at IS NULL OR e.expires_at > now())
ORDER BY e.run_at
LIMIT 1
