-- Write one execution without a unique key: insert.sql without its arrays, which cost a lone
-- enqueue more than the row does.
INSERT INTO {schema}.executions (
    id, task, queue, priority, status, request, max_attempts, timeout_s, user_id, tags, parent_id,
    rerun_of, fingerprint, run_at, created_at, queued_at
)
SELECT
    %(id)s::uuid, %(task)s::text, %(queue)s::text, %(priority)s::text,
    CASE WHEN due.is_now THEN 'queued' ELSE 'scheduled' END,
    %(request)s::jsonb, %(max_attempts)s::integer, %(timeout_s)s::double precision,
    %(user_id)s::text, %(tags)s::text[], %(parent_id)s::uuid, %(rerun_of)s::uuid,
    %(fingerprint)s::text, due.run_at, now(), CASE WHEN due.is_now THEN now() END
FROM (
    SELECT
        t.run_at,
        t.run_at <= now() AND NOT %(unpushed)s::boolean AS is_now
    FROM (
        SELECT coalesce(
            %(run_at)s::timestamptz,
            now() + make_interval(secs => coalesce(%(delay_s)s::double precision, 0))
        ) AS run_at
    ) AS t
) AS due
ON CONFLICT (id) DO NOTHING
RETURNING id::text, status
