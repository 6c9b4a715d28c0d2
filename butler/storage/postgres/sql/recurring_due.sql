-- Jobs that are due or soon will be, longest due first, without their requests; for floor see stage.sql. An
-- execution that a job knows as unfinished and that is gone was finished, and then deleted.
SELECT
    j.id::text, j.name, j.task, NULL::jsonb, j.schedule::text, j.enabled, j.misfire, j.misfire_grace_s,
    j.catch_up_limit, j.overlap, j.max_concurrency, j.jitter_s, j.starts_at, j.ends_at,
    j.max_fires, j.queue, j.priority, j.max_attempts, j.timeout_s, j.tags, j.description, j.owner,
    j.source, j.unique_key, j.fingerprint, j.version, j.fires, j.next_fire_at, j.last_fire_at,
    j.broken_reason, j.created_at, j.updated_at, j.fair_key,
    now(), j.due_at, j.unfinished::text[],
    ARRAY(
        SELECT e.id::text
        FROM unnest(j.unfinished) AS known (id)
        JOIN {schema}.executions AS e ON e.id = known.id
        WHERE e.status NOT IN ('succeeded', 'failed', 'cancelled')
        ORDER BY e.id
    ),
    ARRAY(
        SELECT f.fire_at
        FROM {schema}.recurring_fires AS f
        WHERE f.job_id = j.id
            AND f.outcome = 'waiting'
        ORDER BY f.fire_at
        LIMIT 101
    )
FROM {schema}.recurring_jobs AS j
WHERE j.due_at >= coalesce(%(floor)s::timestamptz, '-infinity')
    AND j.due_at <= now() + make_interval(secs => %(ahead_s)s::double precision)
    AND (
        %(after_at)s::timestamptz IS NULL
        OR (j.due_at, j.id) > (%(after_at)s::timestamptz, %(after_id)s::uuid)
    )
ORDER BY j.due_at, j.id
LIMIT %(limit)s::integer
