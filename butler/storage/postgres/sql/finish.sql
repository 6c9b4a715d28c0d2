-- End a batch of attempts, each in its own way; see finish_succeeded.sql for the fence and locks.
--
-- A requested cancel turns everything but a success into cancelled. All in one statement: the
-- attempt's record, the row, the unique key of an execution that is over, and what statistics count.
WITH fenced AS MATERIALIZED (
    SELECT
        t.*,
        e.task, e.queue, e.unique_key, e.worker_id, e.run_at, e.started_at,
        CASE
            WHEN e.cancel_requested_at IS NOT NULL AND t.wanted <> 'succeeded' THEN 'cancelled'
            ELSE t.wanted
        END AS status
    FROM unnest(
        %(ids)s::uuid[], %(attempts)s::integer[], %(tokens)s::uuid[], %(statuses)s::text[],
        %(outcomes)s::text[], %(counted)s::boolean[], %(delays_s)s::double precision[],
        %(results)s::text[], %(errors)s::text[], %(reasons)s::text[], %(alone)s::boolean[],
        %(crashes)s::smallint[], %(fingerprints)s::text[], %(places)s::text[],
        %(traceparents)s::text[]
    ) AS t (
        id, attempt, claim_token, wanted, outcome, counted, delay_s, result, error, reason, alone,
        crashes, fingerprint, place, traceparent
    )
    CROSS JOIN LATERAL (
        SELECT
            x.status, x.attempt, x.claim_token, x.cancel_requested_at, x.task, x.queue,
            x.unique_key, x.worker_id, x.run_at, x.started_at
        FROM {schema}.executions AS x
        WHERE x.id = t.id
        OFFSET 0
        FOR UPDATE
    ) AS e
    WHERE t.id >= '00000000-0000-0000-0000-000000000000'::uuid
        AND t.id <= 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid
        AND e.status = 'running'
        AND e.attempt = t.attempt
        AND e.claim_token = t.claim_token
),
ending AS MATERIALIZED (
    SELECT fenced.*, fenced.status IN ('succeeded', 'failed', 'cancelled') AS finished
    FROM fenced
),
recorded AS (
    INSERT INTO {schema}.execution_attempts (
        execution_id, attempt, claim_token, outcome, counted, worker_id, started_at, finished_at,
        error
    )
    SELECT
        ending.id, ending.attempt, ending.claim_token, ending.outcome, ending.counted,
        ending.worker_id, ending.started_at, now(), ending.error::jsonb
    FROM ending
    WHERE ending.outcome <> 'succeeded'
    ON CONFLICT (execution_id, attempt) DO NOTHING
),
counted AS (
    INSERT INTO {schema}.stats_batches (
        at, ends, tasks, queues, endings, statuses, due, started
    )
    SELECT
        now(), count(*), array_agg(ending.task), array_agg(ending.queue),
        array_agg(ending.outcome), array_agg(ending.status),
        array_agg(ending.run_at), array_agg(ending.started_at)
    FROM ending
    HAVING count(*) > 0
),
noted AS (
    INSERT INTO {schema}.error_deltas (
        at, task, fingerprint, type, place, message, execution_id, number
    )
    SELECT
        now(), ending.task, ending.fingerprint, min(ending.error::jsonb ->> 'type'),
        min(ending.place), left(min(ending.error::jsonb ->> 'message'), 500),
        (array_agg(ending.id))[1], count(*)
    FROM ending
    WHERE ending.fingerprint IS NOT NULL
    GROUP BY ending.task, ending.fingerprint
),
freed AS (
    DELETE FROM {schema}.unique_keys AS k
    USING ending
    WHERE ending.finished
        AND ending.unique_key IS NOT NULL
        AND k.task = ending.task
        AND k.key = ending.unique_key
        AND k.execution_id = ending.id
)
UPDATE {schema}.executions AS e
SET status = ending.status,
    result = CASE WHEN ending.status = 'succeeded' THEN ending.result::jsonb END,
    error = ending.error::jsonb,
    uncounted = e.uncounted + CASE WHEN ending.counted THEN 0 ELSE 1 END,
    crashes = ending.crashes,
    alone = ending.alone,
    reason = CASE WHEN ending.finished THEN NULL ELSE ending.reason END,
    traceparent = CASE
        WHEN ending.status = 'succeeded' THEN e.traceparent
        ELSE coalesce(ending.traceparent, e.traceparent)
    END,
    worker_id = CASE WHEN ending.finished THEN e.worker_id END,
    started_at = CASE WHEN ending.finished THEN e.started_at END,
    finished_at = CASE WHEN ending.finished THEN now() END,
    queued_at = CASE WHEN ending.status = 'queued' THEN now() ELSE e.queued_at END,
    run_at = CASE ending.status
        WHEN 'scheduled' THEN now() + make_interval(secs => ending.delay_s)
        WHEN 'retrying' THEN now() + make_interval(secs => ending.delay_s)
        WHEN 'queued' THEN now()
        ELSE e.run_at
    END
FROM ending
WHERE e.id = ending.id
RETURNING
    e.id::text, e.task, e.queue, e.priority, e.attempt, e.timeout_s, e.created_at, e.status,
    e.limit_keys ->> 'fair'
