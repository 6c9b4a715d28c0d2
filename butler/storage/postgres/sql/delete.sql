-- Remove finished executions with their attempts and events.
WITH locked AS MATERIALIZED (
    SELECT e.*, e.status IN ('succeeded', 'failed', 'cancelled') AS over
    FROM unnest(%(ids)s::uuid[]) AS wanted (id)
    CROSS JOIN LATERAL (
        SELECT
            x.id, x.status, x.task, x.queue, x.priority, x.attempt, x.timeout_s, x.created_at
        FROM {schema}.executions AS x
        WHERE x.id = wanted.id
        OFFSET 0
        FOR UPDATE
    ) AS e
),
deleted_events AS (
    DELETE FROM {schema}.execution_events AS v
    USING locked
    WHERE locked.over
        AND v.execution_id = locked.id
),
deleted_attempts AS (
    DELETE FROM {schema}.execution_attempts AS a
    USING locked
    WHERE locked.over
        AND a.execution_id = locked.id
),
deleted AS (
    DELETE FROM {schema}.executions AS e
    USING locked
    WHERE locked.over
        AND e.id = locked.id
    RETURNING e.id
)
SELECT
    locked.id::text, locked.task, locked.queue, locked.priority, locked.attempt,
    locked.timeout_s, locked.created_at, locked.status, deleted.id IS NOT NULL, NULL, NULL
FROM locked
LEFT JOIN deleted ON deleted.id = locked.id
