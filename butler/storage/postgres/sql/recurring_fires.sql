-- The fires of a job, newest first, with the status of their executions.
SELECT
    f.job_id::text, f.fire_at, f.outcome, f.manual, f.count, f.reason, f.recorded_at,
    f.execution_id::text, e.status
FROM {schema}.recurring_fires AS f
LEFT JOIN {schema}.executions AS e ON e.id = f.execution_id
WHERE f.job_id = %(job_id)s::uuid
    AND (%(outcomes)s::text[] IS NULL OR f.outcome = ANY (%(outcomes)s::text[]))
    AND (%(before)s::timestamptz IS NULL OR f.fire_at < %(before)s::timestamptz)
ORDER BY f.fire_at DESC
LIMIT %(limit)s::integer
