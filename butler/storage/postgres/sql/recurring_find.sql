-- A page of jobs by name. The status is what RecurringJob.status says. Never prepared, like
-- find.sql: a filter that is NULL folds away.
SELECT
    j.id::text, j.name, j.task, j.request, j.schedule::text, j.enabled, j.misfire, j.misfire_grace_s,
    j.catch_up_limit, j.overlap, j.max_concurrency, j.jitter_s, j.starts_at, j.ends_at,
    j.max_fires, j.queue, j.priority, j.max_attempts, j.timeout_s, j.tags, j.description, j.owner,
    j.source, j.unique_key, j.fingerprint, j.version, j.fires, j.next_fire_at, j.last_fire_at,
    j.broken_reason, j.created_at, j.updated_at, j.fair_key
FROM {schema}.recurring_jobs AS j
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN NOT j.enabled THEN 'paused'
            WHEN j.broken_reason IS NOT NULL THEN 'broken'
            WHEN j.next_fire_at IS NULL THEN 'ended'
            ELSE 'active'
        END AS status
) AS stands
WHERE
    (%(statuses)s::text[] IS NULL OR stands.status = ANY (%(statuses)s::text[]))
    AND (%(task)s::text IS NULL OR j.task = %(task)s::text)
    AND (%(queue)s::text IS NULL OR j.queue = %(queue)s::text)
    AND (%(tag)s::text IS NULL OR %(tag)s::text = ANY (j.tags))
    AND (%(owner)s::text IS NULL OR j.owner = %(owner)s::text)
    AND (%(source)s::text IS NULL OR j.source = %(source)s::text)
    AND (
        %(text)s::text IS NULL
        OR j.name ILIKE %(text)s::text
        OR j.description ILIKE %(text)s::text
    )
    AND (%(after)s::text IS NULL OR j.name > %(after)s::text)
ORDER BY j.name
LIMIT %(limit)s::integer
