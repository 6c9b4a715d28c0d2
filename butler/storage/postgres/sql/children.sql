-- The children of some executions, parent by parent, each's oldest first: ids grow with time.
SELECT
    t.id::text, c.id::text, c.task, c.queue, c.tags, c.status, c.attempt, c.progress,
    c.progress_message
FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS t (id, n)
CROSS JOIN LATERAL (
    SELECT e.id, e.task, e.queue, e.tags, e.status, e.attempt, e.progress, e.progress_message
    FROM {schema}.executions AS e
    WHERE e.parent_id = t.id
    ORDER BY e.id
    LIMIT %(limit)s::integer
) AS c
ORDER BY t.n, c.id
LIMIT %(limit)s::integer
