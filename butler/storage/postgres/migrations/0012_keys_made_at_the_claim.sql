-- Keys of limits that only code can make of a request, for executions that were enqueued where that
-- code is not: by butler.enqueue(...), by a recurring job, by name, by rerun.
--
-- Safe while workers of the release before run: what they are refused for a missing key they park,
-- and the scheduler offers it again a second later.
--
-- What code declares of a task says which of its keys it computes ("computed") and which are plain
-- texts ("keys"). An execution whose limit_keys do not say "computed" is not admitted by the limits of
-- such a task: limits_on answers with a part of its own, "keys", which allows nothing. The worker
-- that tried to claim it makes the keys of its request, writes them (limit_keys_note.sql), and
-- claims again.
--
-- Rejected: the stager of the scheduler, which needs no code of users; a copy of the keys in each
-- recurring job, which old keys would stay in when the code changes.
CREATE OR REPLACE FUNCTION {schema}.limits_on(for_task text, for_queue text, keys jsonb)
RETURNS TABLE (
    name text, part text, most integer, interval_s double precision, burst integer
)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $body$
WITH task AS (
    SELECT
        coalesce(l.declared, '{}') || coalesce(l.given, '{}') AS rule,
        coalesce(l.declared -> 'keys', '{}') || coalesce(jsonb_strip_nulls(keys), '{}') AS keys,
        coalesce(l.declared -> 'computed' = 'true' AND NOT coalesce(keys, '{}') ? 'computed', false)
            AS lacks_keys
    FROM {schema}.limits AS l
    WHERE l.name = for_task
        AND l.kind = 'task'
),
said AS (
    SELECT
        coalesce(task.keys ->> p.part, for_task) AS name, p.part, NULL::timestamptz AS paused_at,
        task.rule || coalesce(k.given, '{}') AS rule
    FROM task
    CROSS JOIN (VALUES ('concurrency'), ('rate')) AS p (part)
    LEFT JOIN {schema}.limits AS k ON k.name = task.keys ->> p.part AND k.kind = 'key'
    WHERE NOT task.lacks_keys
    UNION ALL
    SELECT for_task, 'keys', NULL, task.rule
    FROM task
    WHERE task.lacks_keys
    UNION ALL
    SELECT l.name, p.part, l.paused_at, coalesce(l.given, '{}')
    FROM {schema}.limits AS l
    CROSS JOIN (VALUES ('paused'), ('concurrency'), ('rate')) AS p (part)
    WHERE l.name = 'queue:' || for_queue
        AND l.kind = 'queue'
)
SELECT
    said.name, said.part,
    CASE WHEN said.part = 'keys' THEN 0 ELSE (said.rule ->> 'max_concurrency')::integer END,
    (said.rule ->> 'interval_s')::double precision, (said.rule ->> 'burst')::integer
FROM said
WHERE CASE said.part
    WHEN 'paused' THEN said.paused_at IS NOT NULL
    WHEN 'concurrency' THEN said.rule ->> 'max_concurrency' IS NOT NULL
    WHEN 'rate' THEN said.rule ->> 'interval_s' IS NOT NULL
    ELSE said.rule ->> 'max_concurrency' IS NOT NULL OR said.rule ->> 'interval_s' IS NOT NULL
END
$body$;
