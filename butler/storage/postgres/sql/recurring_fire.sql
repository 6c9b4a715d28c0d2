-- Do steps: record fires, make their executions, and say when each job fires next. One transaction,
-- so a fire is recorded if and only if its execution exists, and the next fire time moves with it.
--
-- A step is done only for a job that is as it was when the step was decided; the rows are locked in
-- the steps' order, which is that of ids. Should two schedulers decide the same fire, the second
-- finds another next_fire_at here; and the primary key of recurring_fires holds in any case. A
-- repeat of this very statement finds its steps done: its caller asks for the executions by id.
--
-- IN (...) IS TRUE keeps a hashed subplan: the planner, who thinks these lists short, would walk
-- one for each row of another. Keys are taken in key order, like insert_unique.sql does.
WITH caller AS MATERIALIZED (
    SELECT
        %(epoch)s::bigint IS NULL
        OR EXISTS (
            SELECT
            FROM {schema}.leadership AS l
            WHERE l.epoch = %(epoch)s::bigint
                AND l.holder IS NOT NULL
        ) AS may
),
step AS MATERIALIZED (
    SELECT t.*, j.request
    FROM jsonb_to_recordset(%(steps)s::jsonb) AS t (
        job_id uuid, version integer, plans boolean, expected timestamptz,
        next_fire_at timestamptz, due_at timestamptz, broken_reason text, counted integer,
        last_fire_at timestamptz, finished uuid[], started uuid[], tracked uuid[],
        fingerprint text, fires jsonb
    )
    CROSS JOIN LATERAL (
        SELECT x.request
        FROM {schema}.recurring_jobs AS x
        WHERE x.id = t.job_id
            AND (t.version IS NULL OR x.version = t.version)
            AND (t.tracked IS NULL OR x.unfinished = t.tracked)
            AND (
                NOT t.plans
                OR (x.due_at <= now() AND x.next_fire_at IS NOT DISTINCT FROM t.expected)
            )
        OFFSET 0
        FOR UPDATE
    ) AS j
    WHERE (SELECT caller.may FROM caller)
),
fire AS MATERIALIZED (
    SELECT step.job_id, step.request AS job_request, f.*
    FROM step
    CROSS JOIN LATERAL jsonb_to_recordset(step.fires) AS f (
        fire_at timestamptz, outcome text, reason text, count integer, manual boolean, id uuid,
        task text, queue text, priority text, request text, max_attempts integer,
        timeout_s double precision, user_id text, tags text[], unique_key text, fingerprint text,
        limit_keys jsonb
    )
),
taken AS (
    INSERT INTO {schema}.unique_keys (task, key, execution_id)
    SELECT fire.task, fire.unique_key, fire.id
    FROM fire
    WHERE fire.unique_key IS NOT NULL
    ORDER BY fire.task, fire.unique_key, fire.id
    ON CONFLICT (task, key) DO NOTHING
    RETURNING execution_id
),
judged AS MATERIALIZED (
    SELECT
        fire.*,
        fire.unique_key IS NOT NULL
        AND (fire.id IN (SELECT taken.execution_id FROM taken)) IS NOT TRUE AS held
    FROM fire
),
recorded AS (
    INSERT INTO {schema}.recurring_fires AS known (
        job_id, fire_at, outcome, manual, count, reason, execution_id, recorded_at
    )
    SELECT
        judged.job_id, judged.fire_at,
        CASE WHEN judged.held THEN 'skipped' ELSE judged.outcome END,
        judged.manual, judged.count,
        CASE
            WHEN judged.held
                THEN 'an unfinished execution holds the unique key ' || judged.unique_key
            ELSE judged.reason
        END,
        CASE WHEN judged.held THEN NULL ELSE judged.id END,
        now()
    FROM judged
    ON CONFLICT (job_id, fire_at) DO UPDATE
    SET outcome = excluded.outcome,
        reason = excluded.reason,
        execution_id = excluded.execution_id,
        recorded_at = excluded.recorded_at
    WHERE known.outcome = 'waiting'
    RETURNING known.execution_id
),
written AS (
    INSERT INTO {schema}.executions (
        id, task, queue, priority, status, request, max_attempts, timeout_s, user_id, tags,
        unique_key, fingerprint, run_at, created_at, queued_at, limit_keys
    )
    SELECT
        judged.id, judged.task, judged.queue, judged.priority, 'queued',
        coalesce(judged.request::jsonb, judged.job_request), judged.max_attempts,
        judged.timeout_s, judged.user_id, judged.tags, judged.unique_key, judged.fingerprint,
        least(judged.fire_at, now()), now(), now(), judged.limit_keys
    FROM judged
    WHERE judged.id IS NOT NULL
        AND (judged.id IN (SELECT recorded.execution_id FROM recorded)) IS TRUE
    ON CONFLICT (id) DO NOTHING
    RETURNING id
),
moved AS (
    UPDATE {schema}.recurring_jobs AS j
    SET next_fire_at = CASE WHEN step.plans THEN step.next_fire_at ELSE j.next_fire_at END,
        due_at = CASE WHEN step.plans THEN step.due_at ELSE j.due_at END,
        broken_reason = CASE WHEN step.plans THEN step.broken_reason ELSE j.broken_reason END,
        fires = j.fires + step.counted,
        last_fire_at = greatest(j.last_fire_at, step.last_fire_at),
        fingerprint = coalesce(step.fingerprint, j.fingerprint),
        unfinished = ARRAY(
            SELECT known.id
            FROM unnest(j.unfinished || step.started) AS known (id)
            WHERE known.id <> ALL (step.finished)
        )
    FROM step
    WHERE j.id = step.job_id
)
SELECT 'step', step.job_id::text
FROM step
UNION ALL
SELECT 'written', written.id::text
FROM written
UNION ALL
SELECT 'held', judged.id::text
FROM judged
WHERE judged.held
