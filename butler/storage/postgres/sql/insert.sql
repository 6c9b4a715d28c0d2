-- Write a batch of executions without unique keys. Repeating it with the same ids is harmless.
--
-- Columns that are NULL in the whole batch come as NULL arrays, which unnest pads.
INSERT INTO {schema}.executions (
    id, task, queue, priority, status, request, max_attempts, timeout_s, user_id, tags, parent_id,
    rerun_of, fingerprint, run_at, created_at, queued_at, expires_at, traceparent, limit_keys
)
SELECT
    t.id, t.task, t.queue, t.priority,
    CASE WHEN due.is_now THEN 'queued' ELSE 'scheduled' END,
    t.request::jsonb, t.max_attempts, t.timeout_s, t.user_id, coalesce(t.tags::text[], '{}'),
    t.parent_id, t.rerun_of, t.fingerprint,
    due.run_at, now(), CASE WHEN due.is_now THEN now() END, t.expires_at, t.traceparent,
    t.limit_keys::jsonb
FROM unnest(
    %(ids)s::uuid[], %(tasks)s::text[], %(queues)s::text[], %(priorities)s::text[],
    %(requests)s::text[], %(max_attempts)s::integer[], %(delays_s)s::double precision[],
    %(run_ats)s::timestamptz[], %(unpushed)s::boolean[], %(timeouts_s)s::double precision[],
    %(user_ids)s::text[], %(tags)s::text[], %(parent_ids)s::uuid[], %(reruns_of)s::uuid[],
    %(fingerprints)s::text[], %(expire_ats)s::timestamptz[], %(traceparents)s::text[],
    %(limit_keys)s::text[]
) AS t (
    id, task, queue, priority, request, max_attempts, delay_s, run_at, unpushed, timeout_s,
    user_id, tags, parent_id, rerun_of, fingerprint,
    expires_at, traceparent, limit_keys
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
ON CONFLICT (id) DO NOTHING
RETURNING id::text, status
