-- Write a batch in which some executions have unique keys: only those that get theirs are written.
--
-- Keys are taken in key order, or two batches would deadlock. An id that exists already takes no
-- key (it may be over, and would hold the key for ever); the last column tells of the one case left,
-- a repeat that raced its own first try to the end. Nobody's id without a key comes back: look
-- it up with unique_holders.sql, under a new snapshot. For the ranges see claim.sql.
--
-- A key that a user's open transaction has written is waited for, because that may be rolled back;
-- lock_timeout bounds the wait. It is set where it is evaluated before the keys are taken.
WITH given AS MATERIALIZED (
    SELECT t.*, due.run_at AS due_at, due.is_now
    FROM unnest(
        %(ids)s::uuid[], %(tasks)s::text[], %(queues)s::text[], %(priorities)s::text[],
        %(requests)s::text[], %(max_attempts)s::integer[], %(delays_s)s::double precision[],
        %(run_ats)s::timestamptz[], %(unpushed)s::boolean[], %(timeouts_s)s::double precision[],
        %(user_ids)s::text[], %(tags)s::text[], %(parent_ids)s::uuid[], %(reruns_of)s::uuid[],
        %(fingerprints)s::text[], %(expire_ats)s::timestamptz[], %(unique_keys)s::text[],
        %(traceparents)s::text[],
    %(limit_keys)s::text[]
    ) WITH ORDINALITY AS t (
        id, task, queue, priority, request, max_attempts, delay_s, run_at, unpushed, timeout_s,
        user_id, tags, parent_id, rerun_of, fingerprint, expires_at,
        unique_key, traceparent, limit_keys, n
    )
    CROSS JOIN LATERAL (
        SELECT
            moment.run_at,
            moment.run_at <= now() AND NOT coalesce(t.unpushed, false) AS is_now
        FROM (
            SELECT
                coalesce(t.run_at, now() + make_interval(secs => coalesce(t.delay_s, 0))) AS run_at
        ) AS moment
    ) AS due
    WHERE t.id >= '00000000-0000-0000-0000-000000000000'::uuid
        AND t.id <= 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid
        AND t.n >= 1
        AND t.n <= 1000
        AND set_config('lock_timeout', %(unique_wait)s::text, true) <> ''
),
taken AS (
    INSERT INTO {schema}.unique_keys (task, key, execution_id)
    SELECT given.task, given.unique_key, given.id
    FROM given
    WHERE given.unique_key IS NOT NULL
        AND NOT EXISTS (SELECT FROM {schema}.executions AS e WHERE e.id = given.id)
    ORDER BY given.task, given.unique_key, given.n
    ON CONFLICT (task, key) DO NOTHING
    RETURNING execution_id
),
written AS (
    INSERT INTO {schema}.executions (
        id, task, queue, priority, status, request, max_attempts, timeout_s, user_id, tags,
        unique_key, parent_id, rerun_of, fingerprint, run_at, created_at, queued_at, expires_at,
        traceparent, limit_keys
    )
    SELECT
        given.id, given.task, given.queue, given.priority,
        CASE WHEN given.is_now THEN 'queued' ELSE 'scheduled' END,
        given.request::jsonb, given.max_attempts, given.timeout_s, given.user_id,
        coalesce(given.tags::text[], '{}'), given.unique_key, given.parent_id, given.rerun_of,
        given.fingerprint, given.due_at, now(), CASE WHEN given.is_now THEN now() END,
        given.expires_at, given.traceparent, given.limit_keys::jsonb
    FROM given
    WHERE given.unique_key IS NULL
        OR given.id IN (SELECT taken.execution_id FROM taken)
    ON CONFLICT (id) DO NOTHING
    RETURNING id, status
)
SELECT coalesce(written.id, taken.execution_id)::text, written.status
FROM written
FULL JOIN taken ON taken.execution_id = written.id
