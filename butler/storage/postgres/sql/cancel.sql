-- End what waits and ask what runs to end: one UPDATE, so that no claim slips between the cases.
-- With an epoch, only while the scheduler of that epoch leads.
WITH locked AS MATERIALIZED (
    SELECT e.*
    FROM unnest(%(ids)s::uuid[]) AS wanted (id)
    CROSS JOIN LATERAL (
        SELECT
            x.id, x.status, x.task, x.queue, x.priority, x.attempt, x.timeout_s, x.created_at,
            x.unique_key, x.worker_id, x.limit_keys
        FROM {schema}.executions AS x
        WHERE x.id = wanted.id
        OFFSET 0
        FOR UPDATE
    ) AS e
    WHERE %(epoch)s::bigint IS NULL
        OR EXISTS (
            SELECT
            FROM {schema}.leadership AS l
            WHERE l.epoch = %(epoch)s::bigint
                AND l.holder IS NOT NULL
        )
),
moved AS (
    UPDATE {schema}.executions AS e
    SET status = CASE WHEN locked.status = 'running' THEN 'running' ELSE 'cancelled' END,
        cancel_requested_at = coalesce(e.cancel_requested_at, now()),
        finished_at = CASE WHEN locked.status = 'running' THEN NULL ELSE now() END,
        reason = CASE WHEN locked.status = 'running' THEN e.reason END
    FROM locked
    WHERE e.id = locked.id
        AND locked.status IN ('scheduled', 'queued', 'running', 'retrying')
    RETURNING e.id, e.status
),
counted AS (
    INSERT INTO {schema}.stats_deltas (
        at, task, queue, ending, status, number, wait_us, run_us
    )
    SELECT
        date_trunc('minute', now()), locked.task, locked.queue, 'withdrawn', 'cancelled', count(*),
        0, 0
    FROM locked
    WHERE locked.status IN ('scheduled', 'queued', 'retrying')
    GROUP BY locked.task, locked.queue
),
freed AS (
    DELETE FROM {schema}.unique_keys AS k
    USING locked
    WHERE locked.status IN ('scheduled', 'queued', 'retrying')
        AND locked.unique_key IS NOT NULL
        AND k.task = locked.task
        AND k.key = locked.unique_key
        AND k.execution_id = locked.id
)
SELECT
    locked.id::text, locked.task, locked.queue, locked.priority, locked.attempt,
    locked.timeout_s, locked.created_at, locked.status, moved.status,
    CASE WHEN locked.status = 'running' THEN w.name END, locked.limit_keys ->> 'fair'
FROM locked
LEFT JOIN moved ON moved.id = locked.id
LEFT JOIN {schema}.workers AS w ON w.id = locked.worker_id
