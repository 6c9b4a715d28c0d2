-- Start attempts for ids that claim.sql leaves alone because limits are on them: one statement for
-- the batch, in the function of migration 0009. The first columns are those of claim.sql.
SELECT
    c.id, c.attempt, c.claim_token, c.task, c.queue, c.priority, c.request, c.uncounted,
    c.max_attempts, c.crashes, c.alone, c.timeout_s, c.user_id, c.tags, c.parent_id, c.fingerprint,
    c.created_at, c.traceparent, c.slots, c.blocked_by, c.part, c.wait_s
FROM {schema}.claim_limited(
    %(worker_id)s::uuid, %(token)s::uuid, %(ids)s::uuid[], %(solo)s::boolean
) AS c
