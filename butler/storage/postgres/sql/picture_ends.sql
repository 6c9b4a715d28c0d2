-- The newest executions that succeeded or failed, and those that failed before them. By id, which is
-- the order of creation: there is no index on the end, which every execution would have to pay for.
WITH newest AS MATERIALIZED (
    SELECT
        e.id, e.task, e.queue, e.status, e.started_at, e.finished_at, e.crashes, e.error
    FROM (
        SELECT n.*
        FROM {schema}.executions AS n
        ORDER BY n.id DESC
        LIMIT %(seen)s::integer
    ) AS e
    WHERE e.status IN ('succeeded', 'failed')
), failed AS MATERIALIZED (
    SELECT
        e.id, e.task, e.queue, e.status, e.started_at, e.finished_at, e.crashes, e.error
    FROM {schema}.executions AS e
    WHERE e.status IN ('failed', 'cancelled')
    ORDER BY e.id DESC
    LIMIT %(failures)s::integer
)
SELECT
    e.id::text, e.task, e.queue, e.status = 'succeeded', e.finished_at,
    extract(epoch FROM e.finished_at - e.started_at)::float8, e.crashes,
    left((e.error ->> 'type') || ': ' || (e.error ->> 'message'), 300)
FROM (
    SELECT n.* FROM newest AS n
    UNION ALL
    SELECT f.* FROM failed AS f WHERE f.status = 'failed' AND f.id NOT IN (SELECT n.id FROM newest AS n)
) AS e
WHERE e.queue <> %(internal)s
ORDER BY e.id DESC
