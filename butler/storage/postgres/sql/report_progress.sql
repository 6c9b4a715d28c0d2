-- Write the newest progress of running attempts and record it, up to a cap for each execution.
--
-- Fenced and locked like finish_succeeded.sql. The cap is counted on the row, which is locked and
-- rewritten anyway; counting the history would read it at each report. Losing the last moments of
-- progress in a crash is no loss: the commit is asynchronous.
WITH fenced AS MATERIALIZED (
    SELECT t.*, e.events_recorded
    FROM unnest(
        %(ids)s::uuid[], %(attempts)s::integer[], %(tokens)s::uuid[],
        %(percents)s::double precision[], %(messages)s::text[], %(newest)s::boolean[],
        %(records)s::integer[], %(all_records)s::integer[]
    ) WITH ORDINALITY AS t (
        id, attempt, claim_token, percent, message, newest, nth_record, all_records, n
    )
    CROSS JOIN LATERAL (
        SELECT x.status, x.attempt, x.claim_token, x.events_recorded
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
        AND set_config('synchronous_commit', 'off', true) = 'off'
),
kept AS (
    INSERT INTO {schema}.execution_events (execution_id, attempt, kind, at, percent, message)
    SELECT fenced.id, fenced.attempt, 'progress', now(), fenced.percent, fenced.message
    FROM fenced
    WHERE fenced.nth_record > 0
        AND fenced.events_recorded + fenced.nth_record <= %(cap)s::integer
    ORDER BY fenced.n
)
UPDATE {schema}.executions AS e
SET progress = fenced.percent,
    progress_message = fenced.message,
    events_recorded = least(
        fenced.events_recorded + fenced.all_records,
        greatest(fenced.events_recorded, %(cap)s::integer)
    )
FROM fenced
WHERE e.id = fenced.id
    AND fenced.newest
