-- What runs.
SELECT e.id::text, e.task, e.queue, e.worker_id::text, coalesce(e.started_at, e.created_at), e.timeout_s
FROM {schema}.executions AS e
WHERE e.status = 'running'
    AND e.queue <> %(internal)s
LIMIT %(seen)s::integer
