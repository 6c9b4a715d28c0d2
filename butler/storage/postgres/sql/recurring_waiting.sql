-- Enabled jobs that have waiting fires, in the form of recurring_due.sql.
WITH held AS MATERIALIZED (
    SELECT DISTINCT f.job_id
    FROM {schema}.recurring_fires AS f
    WHERE f.outcome = 'waiting'
)
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
FROM held
JOIN {schema}.recurring_jobs AS j ON j.id = held.job_id
WHERE j.enabled
ORDER BY j.id
LIMIT %(limit)s::integer
