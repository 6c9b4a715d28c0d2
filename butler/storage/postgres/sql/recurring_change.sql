-- Replace definitions that still have their version; in id order, like whoever fires them.
--
-- change_id tells a repeat whose first try was done, but whose reply was lost, from a stale change.
WITH given AS MATERIALIZED (
    SELECT t.*
    FROM jsonb_to_recordset(%(changes)s::jsonb) AS t (
        was integer, change_id uuid, keep_request boolean,
        id uuid, name text, task text, request text, schedule text, enabled boolean, misfire text,
        misfire_grace_s double precision, catch_up_limit integer, overlap text,
        max_concurrency integer, jitter_s double precision, starts_at timestamptz,
        ends_at timestamptz, max_fires integer, queue text, priority text, max_attempts integer,
        timeout_s double precision, tags text[], description text, owner text, source text,
        unique_key text, fingerprint text, next_fire_at timestamptz, due_at timestamptz,
        fair_key text
    )
),
locked AS MATERIALIZED (
    SELECT given.*
    FROM given
    CROSS JOIN LATERAL (
        SELECT x.id
        FROM {schema}.recurring_jobs AS x
        WHERE x.id = given.id
            AND x.version = given.was
        OFFSET 0
        FOR UPDATE
    ) AS j
)
UPDATE {schema}.recurring_jobs AS j
SET task = locked.task,
    request = CASE WHEN locked.keep_request THEN j.request ELSE locked.request::jsonb END,
    schedule = locked.schedule::jsonb,
    enabled = locked.enabled,
    misfire = locked.misfire,
    misfire_grace_s = locked.misfire_grace_s,
    catch_up_limit = locked.catch_up_limit,
    overlap = locked.overlap,
    max_concurrency = locked.max_concurrency,
    jitter_s = locked.jitter_s,
    starts_at = locked.starts_at,
    ends_at = locked.ends_at,
    max_fires = locked.max_fires,
    queue = locked.queue,
    priority = locked.priority,
    max_attempts = locked.max_attempts,
    timeout_s = locked.timeout_s,
    tags = locked.tags,
    description = locked.description,
    owner = locked.owner,
    unique_key = CASE WHEN locked.keep_request THEN j.unique_key ELSE locked.unique_key END,
    fair_key = CASE WHEN locked.keep_request THEN j.fair_key ELSE locked.fair_key END,
    fingerprint = CASE WHEN locked.keep_request THEN j.fingerprint ELSE locked.fingerprint END,
    next_fire_at = locked.next_fire_at,
    due_at = locked.due_at,
    broken_reason = NULL,
    version = j.version + 1,
    change_id = locked.change_id,
    updated_at = now()
FROM locked
WHERE j.id = locked.id
RETURNING j.id::text
