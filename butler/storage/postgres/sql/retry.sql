-- Open failed and cancelled executions again, those whose unique key is free or that have none.
--
-- Keys are taken in key order, like insert_unique.sql does. claim_token stays: a repeated finish of
-- the last attempt is still recognised.
WITH locked AS MATERIALIZED (
    SELECT e.*, e.status IN ('failed', 'cancelled') AS over
    FROM unnest(%(ids)s::uuid[]) AS wanted (id)
    CROSS JOIN LATERAL (
        SELECT
            x.id, x.status, x.task, x.queue, x.priority, x.attempt, x.timeout_s, x.created_at,
            x.unique_key, x.limit_keys
        FROM {schema}.executions AS x
        WHERE x.id = wanted.id
        OFFSET 0
        FOR UPDATE
    ) AS e
),
taken AS (
    INSERT INTO {schema}.unique_keys (task, key, execution_id)
    SELECT locked.task, locked.unique_key, locked.id
    FROM locked
    WHERE locked.over
        AND locked.unique_key IS NOT NULL
    ORDER BY locked.task, locked.unique_key, locked.id
    ON CONFLICT (task, key) DO NOTHING
    RETURNING execution_id
),
moved AS (
    UPDATE {schema}.executions AS e
    SET status = 'queued',
        max_attempts = greatest(e.max_attempts, e.attempt - e.uncounted + 1),
        crashes = 0,
        alone = false,
        result = NULL,
        error = NULL,
        reason = NULL,
        progress = NULL,
        progress_message = NULL,
        worker_id = NULL,
        cancel_requested_at = NULL,
        started_at = NULL,
        finished_at = NULL,
        run_at = now(),
        queued_at = now(),
        expires_at = CASE WHEN e.expires_at > now() THEN e.expires_at END
    FROM locked
    WHERE e.id = locked.id
        AND locked.over
        AND (locked.unique_key IS NULL OR e.id IN (SELECT taken.execution_id FROM taken))
    RETURNING e.id, e.status
)
SELECT
    locked.id::text, locked.task, locked.queue, locked.priority, locked.attempt,
    locked.timeout_s, locked.created_at, locked.status, moved.status, NULL,
    locked.limit_keys ->> 'fair'
FROM locked
LEFT JOIN moved ON moved.id = locked.id
