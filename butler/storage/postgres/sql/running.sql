-- What runs under these workers' ids.
SELECT
    e.worker_id::text, e.id::text, e.attempt, e.claim_token::text, e.uncounted, e.max_attempts,
    e.crashes, e.alone, e.cancel_requested_at IS NOT NULL
FROM {schema}.executions AS e
WHERE e.status = 'running'
    AND e.worker_id = ANY (%(ids)s::uuid[])
ORDER BY e.worker_id, e.id
