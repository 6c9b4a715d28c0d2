-- The counters of all workers but those that are over with nothing running under their id.
SELECT w.id::text, w.name, w.counter, w.lost, w.stopped_at IS NOT NULL
FROM {schema}.workers AS w
WHERE (NOT w.lost AND w.stopped_at IS NULL)
    OR w.id IN (
        SELECT e.worker_id
        FROM {schema}.executions AS e
        WHERE e.status = 'running'
    )
ORDER BY w.started_at, w.id
