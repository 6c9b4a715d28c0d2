-- How executions stand, for whoever waits for them: short rows, by the primary key alone.
SELECT
    e.id::text, e.task, e.queue, e.tags, e.status, e.attempt, e.progress, e.progress_message
FROM {schema}.executions AS e
WHERE e.id = ANY (%(ids)s::uuid[])
