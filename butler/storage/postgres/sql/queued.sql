-- Executions queued for a while, in (queued_at, id) order after a cursor.
SELECT
    e.id::text, e.task, e.queue, e.priority, e.attempt, e.timeout_s, e.created_at, e.queued_at,
    e.limit_keys ->> 'fair'
FROM {schema}.executions AS e
WHERE e.status = 'queued'
    AND e.queued_at <= now() - make_interval(secs => %(min_age_s)s::double precision)
    AND (e.queued_at, e.id) > (
        coalesce(%(after_at)s::timestamptz, '-infinity'),
        coalesce(%(after_id)s::uuid, '00000000-0000-0000-0000-000000000000'::uuid)
    )
ORDER BY e.queued_at, e.id
LIMIT %(limit)s::bigint
