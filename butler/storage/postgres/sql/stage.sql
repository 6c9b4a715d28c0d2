-- Move due executions to queued, oldest first, if the caller still leads.
--
-- floor is a moment before which an earlier call found nothing left: below it lie the dead index
-- entries of what was staged since the oldest open transaction began, which would all be read. Rows
-- that somebody holds are skipped and found the next time. The first two columns come also when
-- nothing was due: whether the caller leads, and the moment up to which the ledger was read.
WITH caller AS MATERIALIZED (
    SELECT
        now() AS moment,
        EXISTS (
            SELECT
            FROM {schema}.leadership AS l
            WHERE l.epoch = %(epoch)s::bigint
                AND l.holder IS NOT NULL
        ) AS leads
),
due AS MATERIALIZED (
    SELECT e.id, e.run_at
    FROM {schema}.executions AS e
    WHERE e.status IN ('scheduled', 'retrying')
        AND e.run_at >= coalesce(%(floor)s::timestamptz, '-infinity')
        AND e.run_at <= now()
        AND (e.expires_at IS NULL OR e.expires_at > now())
        AND (SELECT caller.leads FROM caller)
    ORDER BY e.run_at
    LIMIT %(limit)s::bigint
    FOR UPDATE SKIP LOCKED
),
staged AS (
    UPDATE {schema}.executions AS e
    SET status = 'queued',
        queued_at = now()
    FROM due
    WHERE e.id = due.id
    RETURNING e.id, e.task, e.queue, e.priority, e.attempt, e.timeout_s, e.created_at, e.limit_keys,
        due.run_at
)
SELECT
    caller.leads, caller.moment,
    staged.id::text, staged.task, staged.queue, staged.priority, staged.attempt, staged.timeout_s,
    staged.created_at, staged.limit_keys ->> 'fair'
FROM caller
LEFT JOIN staged ON true
ORDER BY staged.run_at, staged.id
