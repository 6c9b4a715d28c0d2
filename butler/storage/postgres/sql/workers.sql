-- Workers that live, and those that ended within the last hour, oldest first.
SELECT
    w.id::text, w.name, w.host, w.pid, w.queues, w.concurrency, coalesce(running.executions, 0),
    w.lost, w.started_at, w.heartbeat_at, w.stopped_at, w.tasks
FROM {schema}.workers AS w
LEFT JOIN (
    SELECT e.worker_id, count(*)::integer AS executions
    FROM {schema}.executions AS e
    WHERE e.status = 'running'
    GROUP BY e.worker_id
) AS running ON running.worker_id = w.id
WHERE coalesce(greatest(w.lost_at, w.stopped_at), now()) > now() - interval '1 hour'
ORDER BY w.started_at, w.id
