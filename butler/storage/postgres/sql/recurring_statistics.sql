-- What became of the newest fires of a job: one row an outcome and status of the execution.
SELECT
    f.outcome, e.status, sum(f.count)::bigint, count(e.id),
    sum(extract(epoch FROM e.finished_at - e.started_at))::double precision,
    max(extract(epoch FROM e.finished_at - e.started_at))::double precision,
    max(e.finished_at)
FROM (
    SELECT x.outcome, x.count, x.execution_id
    FROM {schema}.recurring_fires AS x
    WHERE x.job_id = %(job_id)s::uuid
    ORDER BY x.fire_at DESC
    LIMIT 10000
) AS f
LEFT JOIN {schema}.executions AS e ON e.id = f.execution_id
GROUP BY f.outcome, e.status
