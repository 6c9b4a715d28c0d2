-- What became of the ids that claim.sql did not win: the first columns are those of claim.sql, so
-- that rows an earlier try of the same claim won (its reply was lost) can be told and returned.
-- No row at all where the worker may not work any more.
SELECT
    wanted.id::text, e.attempt, e.claim_token::text, e.task, e.queue, e.priority, e.request::text,
    e.uncounted, e.max_attempts, e.crashes, e.alone, e.timeout_s, e.user_id, e.tags,
    e.parent_id::text, e.fingerprint, e.created_at, e.traceparent,
    e.status,
    e.status = 'running' AND e.worker_id = w.id AND e.claim_token = %(token)s::uuid,
    e.status = 'queued' AND e.expires_at <= now(),
    ARRAY[e.task, 'queue:' || e.queue] && ARRAY(
        SELECT l.name FROM {schema}.limits AS l WHERE l.kind <> 'key'
    )
FROM {schema}.workers AS w
CROSS JOIN unnest(%(ids)s::uuid[]) AS wanted (id)
LEFT JOIN LATERAL (
    SELECT x.*
    FROM {schema}.executions AS x
    WHERE x.id = wanted.id
    OFFSET 0
) AS e ON true
WHERE w.id = %(worker_id)s::uuid
    AND NOT w.lost
    AND w.stopped_at IS NULL
