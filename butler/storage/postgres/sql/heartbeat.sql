-- Raise the counters of workers that live. Losing a beat in a crash is no loss: asynchronous.
WITH living AS MATERIALIZED (
    SELECT w.id
    FROM {schema}.workers AS w
    WHERE w.id = ANY (%(ids)s::uuid[])
        AND NOT w.lost
        AND w.stopped_at IS NULL
        AND set_config('synchronous_commit', 'off', true) = 'off'
    ORDER BY w.id
    FOR NO KEY UPDATE
)
UPDATE {schema}.workers AS w
SET counter = w.counter + 1,
    heartbeat_at = now()
FROM living
WHERE w.id = living.id
RETURNING w.id::text
