-- Let an execution that holds a unique key and still waits do what a new one was to do.
--
-- Its id, its history and where it came from stay. What is retrying stays so until its new time; an
-- attempt more than those it has used is always left. No row where it has started, is over, or is
-- held by somebody, maybe by a user's open transaction. The columns: the entry it is now, its
-- status, and the status, queue, priority and fair key it had.
WITH holder AS MATERIALIZED (
    SELECT e.id, e.status, e.queue, e.priority, e.limit_keys
    FROM {schema}.executions AS e
    WHERE e.id = %(holder)s::uuid
        AND e.status IN ('scheduled', 'queued', 'retrying')
        AND e.task = %(task)s::text
        AND e.unique_key = %(unique_key)s::text
    FOR UPDATE SKIP LOCKED
),
due AS (
    SELECT
        moment.run_at,
        moment.run_at <= now() AND NOT %(unpushed)s::boolean AS is_now
    FROM (
        SELECT
            coalesce(
                %(run_at)s::timestamptz,
                now() + make_interval(secs => coalesce(%(delay_s)s::double precision, 0))
            ) AS run_at
    ) AS moment
)
UPDATE {schema}.executions AS e
SET request = %(request)s::jsonb,
    status = CASE
        WHEN due.is_now THEN 'queued'
        WHEN holder.status = 'retrying' THEN 'retrying'
        ELSE 'scheduled'
    END,
    queue = %(queue)s::text,
    priority = %(priority)s::text,
    max_attempts = greatest(%(max_attempts)s::integer, e.attempt - e.uncounted + 1),
    timeout_s = %(timeout_s)s::double precision,
    user_id = %(user_id)s::text,
    tags = %(tags)s::text[],
    fingerprint = %(fingerprint)s::text,
    traceparent = %(traceparent)s::text,
    limit_keys = %(limit_keys)s::jsonb,
    run_at = due.run_at,
    queued_at = CASE WHEN due.is_now THEN now() ELSE e.queued_at END,
    expires_at = %(expires_at)s::timestamptz,
    reason = NULL
FROM holder, due
WHERE e.id = holder.id
RETURNING
    e.id::text, e.task, e.queue, e.priority, e.attempt, e.timeout_s, e.created_at, e.status,
    holder.status, holder.queue, holder.priority, holder.limit_keys ->> 'fair'
