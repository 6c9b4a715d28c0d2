-- End a batch of attempts that all succeeded: the common batch, kept cheap (finish.sql ends any).
--
-- The fence is (id, attempt, claim token) on a running row, read from the rows as they were locked,
-- in the order of the ids given; for OFFSET 0 and the range that holds every uuid see claim.sql.
-- The commit is synchronous: what a caller is told to be done stays done. What is counted is counted
-- in the same statement, so that statistics and executions cannot disagree. How many rows it wrote is
-- all it answers: where that is not the whole batch, finish_rest.sql tells how each of it stands.
WITH ending AS MATERIALIZED (
    SELECT t.id, t.result, e.task, e.queue, e.unique_key, e.run_at, e.started_at
    FROM unnest(
        %(ids)s::uuid[], %(attempts)s::integer[], %(tokens)s::uuid[], %(results)s::text[]
    ) AS t (id, attempt, claim_token, result)
    CROSS JOIN LATERAL (
        SELECT
            x.status, x.attempt, x.claim_token, x.task, x.queue, x.unique_key, x.run_at,
            x.started_at
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
counted AS (
    INSERT INTO {schema}.stats_batches (
        at, ends, tasks, queues, due, started
    )
    SELECT
        now(), count(*), array_agg(ending.task), array_agg(ending.queue),
        array_agg(ending.run_at), array_agg(ending.started_at)
    FROM ending
    HAVING count(*) > 0
),
freed AS (
    DELETE FROM {schema}.unique_keys AS k
    USING ending
    WHERE ending.unique_key IS NOT NULL
        AND k.task = ending.task
        AND k.key = ending.unique_key
        AND k.execution_id = ending.id
)
UPDATE {schema}.executions AS e
SET status = 'succeeded',
    result = ending.result::jsonb,
    error = NULL,
    alone = false,
    finished_at = now()
FROM ending
WHERE e.id = ending.id
