-- Every rule, and every key whose slots are held, with how many hold one, and of which tasks.
WITH names AS (
    SELECT l.name FROM {schema}.limits AS l
    UNION
    SELECT s.name FROM {schema}.limit_slots AS s
)
SELECT
    n.name,
    coalesce(l.kind, CASE WHEN starts_with(n.name, 'queue:') THEN 'queue' ELSE 'key' END),
    l.declared, l.given, l.paused_at, live.running::integer, live.tasks
FROM names AS n
LEFT JOIN {schema}.limits AS l ON l.name = n.name
CROSS JOIN LATERAL (
    SELECT count(*) AS running, coalesce(array_agg(DISTINCT e.task), '{}') AS tasks
    FROM {schema}.limit_slots AS s
    CROSS JOIN LATERAL (
        SELECT x.status, x.attempt, x.task
        FROM {schema}.executions AS x
        WHERE x.id = s.execution_id
        OFFSET 0
    ) AS e
    WHERE s.name = n.name
        AND e.status = 'running'
        AND e.attempt = s.attempt
) AS live
WHERE l.name IS NOT NULL
    OR live.running > 0
ORDER BY n.name
