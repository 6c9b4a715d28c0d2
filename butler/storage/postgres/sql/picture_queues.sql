-- What waits on each queue, of those that have waited longest; the ledger's time and its leader.
WITH longest AS MATERIALIZED (
    SELECT e.queue, e.queued_at
    FROM {schema}.executions AS e
    WHERE e.status = 'queued'
    ORDER BY e.queued_at, e.id
    LIMIT %(seen)s::integer
), queues AS (
    SELECT q.queue, count(*)::integer AS depth, min(q.queued_at) AS oldest
    FROM longest AS q
    WHERE q.queue <> %(internal)s
    GROUP BY q.queue
)
SELECT now(), l.holder, q.queue, q.depth, q.oldest
FROM {schema}.leadership AS l
LEFT JOIN queues AS q ON true
ORDER BY q.queue
