-- Start attempts for a batch of ids, in one statement.
--
-- The worker's row is held with KEY SHARE: heartbeats pass, but lose_worker.sql takes FOR UPDATE on
-- it, so that no claim slips past a loss. Only this commit is asynchronous: a claim that a crash
-- undoes is claimed again, under its token. set_config stands in the WHERE so that it is evaluated.
--
-- Rows are locked in the order of the ids given (sorted), or overlapping batches would deadlock.
-- The status is read from the locked rows and never asked of the table, and OFFSET 0 keeps it from
-- being pushed down: the planner would take the partial index on queued rows in place of the
-- primary key, seven times slower. The ranges that hold every uuid and every position are hints to
-- the planner that few rows come, so that it takes the primary key whatever it thinks of the table.
-- What limits are on is left to claim_limited.sql; which tasks and queues those are is read once.
WITH worker AS MATERIALIZED (
    SELECT w.id
    FROM {schema}.workers AS w
    WHERE w.id = %(worker_id)s::uuid
        AND NOT w.lost
        AND w.stopped_at IS NULL
        AND set_config('synchronous_commit', 'off', true) = 'off'
    FOR KEY SHARE
),
locked AS MATERIALIZED (
    SELECT e.id
    FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS wanted (id, n)
    CROSS JOIN LATERAL (
        SELECT x.id, x.status, x.alone, x.expires_at, x.task, x.queue
        FROM {schema}.executions AS x
        WHERE x.id = wanted.id
        OFFSET 0
        FOR UPDATE
    ) AS e
    WHERE wanted.id >= '00000000-0000-0000-0000-000000000000'::uuid
        AND wanted.id <= 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid
        AND wanted.n >= 1
        AND wanted.n <= 1000
        AND e.status = 'queued'
        AND e.alone = %(solo)s::boolean
        AND (e.expires_at IS NULL OR e.expires_at > now())
        AND NOT ARRAY[e.task, 'queue:' || e.queue] && ARRAY(
            SELECT l.name FROM {schema}.limits AS l WHERE l.kind <> 'key'
        )
)
UPDATE {schema}.executions AS e
SET status = 'running',
    attempt = e.attempt + 1,
    claim_token = %(token)s::uuid,
    worker_id = worker.id,
    started_at = now(),
    reason = NULL,
    progress = NULL,
    progress_message = NULL
FROM locked, worker
WHERE e.id = locked.id
RETURNING
    e.id::text, e.attempt, e.claim_token::text, e.task, e.queue, e.priority, e.request::text,
    e.uncounted, e.max_attempts, e.crashes, e.alone, e.timeout_s, e.user_id, e.tags,
    e.parent_id::text, e.fingerprint, e.created_at, e.traceparent
