-- Cancel those of these executions that wait and are past their expires_at; the first columns are
-- an entry. A claim has just refused them.
WITH late AS MATERIALIZED (
    SELECT e.*
    FROM unnest(%(ids)s::uuid[]) AS wanted (id)
    CROSS JOIN LATERAL (
        SELECT x.id, x.status, x.expires_at, x.task, x.queue, x.unique_key
        FROM {schema}.executions AS x
        WHERE x.id = wanted.id
        OFFSET 0
        FOR UPDATE
    ) AS e
    WHERE e.status IN ('scheduled', 'queued', 'retrying')
        AND e.expires_at <= now()
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
