-- Cancel what waits and is past its expires_at, if the caller still leads; the columns are an entry.
-- Rows that somebody holds are skipped and found the next time.
WITH late AS MATERIALIZED (
    SELECT e.id, e.task, e.queue, e.unique_key
    FROM {schema}.executions AS e
    WHERE e.status IN ('scheduled', 'queued', 'retrying')
        AND e.expires_at IS NOT NULL
        AND e.expires_at <= now()
        AND EXISTS (
            SELECT
            FROM {schema}.leadership AS l
            WHERE l.epoch = %(epoch)s::bigint
                AND l.holder IS NOT NULL
        )
    ORDER BY e.expires_at
    LIMIT %(limit)s::bigint
    FOR UPDATE SKIP LOCKED
),
counted AS (
    INSERT INTO {schema}.stats_deltas (
        at, task, queue, ending, status, number, wait_us, run_us
    )
    SELECT
        date_trunc('minute', now()), late.task, late.queue, 'expired', 'cancelled', count(*), 0, 0
    FROM late
    GROUP BY late.task, late.queue
),
freed AS (
    DELETE FROM {schema}.unique_keys AS k
    USING late
    WHERE late.unique_key IS NOT NULL
        AND k.task = late.task
        AND k.key = late.unique_key
        AND k.execution_id = late.id
)
UPDATE {schema}.executions AS e
SET status = 'cancelled',
    finished_at = now(),
    reason = 'expired'
FROM late
WHERE e.id = late.id
RETURNING
    e.id::text, e.task, e.queue, e.priority, e.attempt, e.timeout_s, e.created_at,
    e.limit_keys ->> 'fair'
