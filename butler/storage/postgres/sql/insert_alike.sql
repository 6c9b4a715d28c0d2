-- Write a batch of executions that are due at once, have no unique key, and differ in nothing but id
-- and request: the usual bulk enqueue. What they share comes once, not as an array each.
--
-- No ON CONFLICT: it costs a sixth of the rows' work. One that repeats an earlier try fails as a
-- whole, and insert.sql does it. No RETURNING either: that all were written says it all.
INSERT INTO {schema}.executions (
    id, task, queue, priority, status, request, max_attempts, timeout_s, user_id, tags, parent_id,
    rerun_of, fingerprint, run_at, created_at, queued_at, traceparent, limit_keys
)
SELECT
    t.id, %(task)s::text, %(queue)s::text, %(priority)s::text, 'queued',
    t.request::jsonb, %(max_attempts)s::integer, %(timeout_s)s::double precision,
    %(user_id)s::text, %(tags)s::text[], %(parent_id)s::uuid, %(rerun_of)s::uuid,
    %(fingerprint)s::text, now(), now(), now(), %(traceparent)s::text,
    %(limit_keys)s::jsonb
FROM unnest(%(ids)s::uuid[], %(requests)s::text[]) AS t (id, request)
