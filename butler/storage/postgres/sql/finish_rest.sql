-- How the rows stand whose attempts finish.sql did not end: another attempt's, or this one's, whose
-- end was written by an earlier try. The last columns tell: how this very attempt ended here, and
-- the words with which its value was refused.
SELECT
    t.id::text, e.task, e.queue, e.priority, e.attempt, e.timeout_s, e.created_at, e.status,
    e.limit_keys ->> 'fair',
    CASE
        WHEN e.status = 'succeeded' AND e.attempt = t.attempt AND e.claim_token = t.claim_token
            THEN 'succeeded'
        ELSE a.outcome
    END,
    CASE WHEN a.error ->> 'type' = 'ResultNotStorable' THEN a.error ->> 'message' END
FROM unnest(%(ids)s::uuid[], %(attempts)s::integer[], %(tokens)s::uuid[])
    WITH ORDINALITY AS t (id, attempt, claim_token, n)
LEFT JOIN LATERAL (
    SELECT x.*
    FROM {schema}.executions AS x
    WHERE x.id = t.id
    OFFSET 0
) AS e ON true
LEFT JOIN {schema}.execution_attempts AS a
    ON a.execution_id = t.id AND a.attempt = t.attempt AND a.claim_token = t.claim_token
ORDER BY t.n
