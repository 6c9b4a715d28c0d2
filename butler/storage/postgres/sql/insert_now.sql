-- Write one execution that is due at once and has no unique key: the usual enqueue, which should
-- cost little more than a bare INSERT. No RETURNING: that one row was written says it all.
INSERT INTO {schema}.executions (
    id, task, queue, priority, status, request, max_attempts, timeout_s, user_id, tags, parent_id,
    rerun_of, fingerprint, run_at, created_at, queued_at, traceparent, limit_keys
)
VALUES (
    %(id)s::uuid, %(task)s::text, %(queue)s::text, %(priority)s::text, 'queued',
    %(request)s::jsonb, %(max_attempts)s::integer, %(timeout_s)s::double precision,
    %(user_id)s::text, %(tags)s::text[], %(parent_id)s::uuid, %(rerun_of)s::uuid,
    %(fingerprint)s::text, now(), now(), now(), %(traceparent)s::text,
    %(limit_keys)s::jsonb
)
ON CONFLICT (id) DO NOTHING
