-- Add jobs whose names are free; in name order, or two applications that start would deadlock.
INSERT INTO {schema}.recurring_jobs (
    id, name, task, request, schedule, enabled, misfire, misfire_grace_s, catch_up_limit, overlap,
    max_concurrency, jitter_s, starts_at, ends_at, max_fires, queue, priority, max_attempts,
    timeout_s, tags, description, owner, source, unique_key, fingerprint, next_fire_at, due_at,
    fair_key, change_id, created_at, updated_at
)
SELECT
    t.id, t.name, t.task, t.request::jsonb, t.schedule::jsonb, t.enabled, t.misfire,
    t.misfire_grace_s, t.catch_up_limit, t.overlap, t.max_concurrency, t.jitter_s, t.starts_at,
    t.ends_at, t.max_fires, t.queue, t.priority, t.max_attempts, t.timeout_s, t.tags,
    t.description, t.owner, t.source, t.unique_key, t.fingerprint, t.next_fire_at, t.due_at,
    t.fair_key, t.id, now(), now()
FROM jsonb_to_recordset(%(jobs)s::jsonb) AS t (
    id uuid, name text, task text, request text, schedule text, enabled boolean, misfire text,
    misfire_grace_s double precision, catch_up_limit integer, overlap text,
    max_concurrency integer, jitter_s double precision, starts_at timestamptz,
    ends_at timestamptz, max_fires integer, queue text, priority text, max_attempts integer,
    timeout_s double precision, tags text[], description text, owner text, source text,
    unique_key text, fingerprint text, next_fire_at timestamptz, due_at timestamptz,
    fair_key text
)
ORDER BY t.name
ON CONFLICT DO NOTHING
