-- Jobs by id or by name.
SELECT
    j.id::text, j.name, j.task, j.request, j.schedule::text, j.enabled, j.misfire, j.misfire_grace_s,
    j.catch_up_limit, j.overlap, j.max_concurrency, j.jitter_s, j.starts_at, j.ends_at,
    j.max_fires, j.queue, j.priority, j.max_attempts, j.timeout_s, j.tags, j.description, j.owner,
    j.source, j.unique_key, j.fingerprint, j.version, j.fires, j.next_fire_at, j.last_fire_at,
    j.broken_reason, j.created_at, j.updated_at, j.fair_key
FROM {schema}.recurring_jobs AS j
WHERE j.id = ANY (%(ids)s::uuid[])
    OR j.name = ANY (%(names)s::text[])
ORDER BY j.name
