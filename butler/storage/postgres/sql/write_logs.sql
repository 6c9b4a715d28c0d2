-- Keep lines that tasks have logged.
--
-- The executions' rows are locked in the order of their ids: two writers of the same executions
-- then wait for each other instead of deadlocking, and none can be deleted before its lines are
-- there. Losing the last lines in a crash is no loss: the commit is asynchronous. A line that is
-- there already was sent twice, or is a mark that has grown.
WITH locked AS MATERIALIZED (
    SELECT t.id
    FROM unnest(%(executions)s::uuid[]) AS t (id)
    CROSS JOIN LATERAL (
        SELECT x.id
        FROM {schema}.executions AS x
        WHERE x.id = t.id
        OFFSET 0
        FOR NO KEY UPDATE
    ) AS e
    WHERE t.id >= '00000000-0000-0000-0000-000000000000'::uuid
        AND t.id <= 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid
        AND set_config('synchronous_commit', 'off', true) = 'off'
)
INSERT INTO {schema}.execution_logs AS l (
    execution_id, id, attempt, at, level, logger, message, cut
)
SELECT t.execution_id, t.id, t.attempt, t.at, t.level, t.logger, t.message, t.cut
FROM unnest(
    %(execution_ids)s::uuid[], %(ids)s::bigint[], %(attempts)s::integer[],
    %(times)s::timestamptz[], %(levels)s::smallint[], %(loggers)s::text[],
    %(messages)s::text[], %(cuts)s::boolean[]
) AS t (execution_id, id, attempt, at, level, logger, message, cut)
JOIN locked ON locked.id = t.execution_id
ON CONFLICT (execution_id, id) DO UPDATE
SET at = excluded.at,
    level = excluded.level,
    logger = excluded.logger,
    message = excluded.message
WHERE l.message <> excluded.message
