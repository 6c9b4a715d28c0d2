-- Remove workers that ended a week ago and under which nothing runs, if the caller leads.
DELETE FROM {schema}.workers AS w
WHERE (w.lost OR w.stopped_at IS NOT NULL)
    AND coalesce(w.lost_at, w.stopped_at) < now() - interval '7 days'
    AND NOT EXISTS (
        SELECT
        FROM {schema}.executions AS e
        WHERE e.status = 'running'
            AND e.worker_id = w.id
    )
    AND EXISTS (
        SELECT
        FROM {schema}.leadership AS l
        WHERE l.epoch = %(epoch)s::bigint
            AND l.holder IS NOT NULL
    )
