-- The newest fires of recurring jobs, with how their executions ended.
SELECT
    j.name, f.fire_at, f.recorded_at, f.outcome, f.execution_id::text,
    CASE WHEN e.status IN ('succeeded', 'failed') THEN e.status = 'succeeded' END,
    e.finished_at,
    extract(epoch FROM e.finished_at - e.started_at)::float8
FROM (
    SELECT n.job_id, n.fire_at, n.recorded_at, n.outcome, n.execution_id
    FROM {schema}.recurring_fires AS n
    ORDER BY n.recorded_at DESC
    LIMIT %(seen)s::integer
) AS f
JOIN {schema}.recurring_jobs AS j ON j.id = f.job_id
LEFT JOIN {schema}.executions AS e ON e.id = f.execution_id
ORDER BY f.recorded_at DESC, f.fire_at DESC
