-- A page of executions, newest first: ids are UUIDv7, so the primary key is the order of creation.
--
-- The inner query is what an index finds, at most as many rows as may be looked at; the outer one
-- holds the other filters against them, one after the other, and stops when the page is full. See
-- butler/storage/finding.py. from_id and to_id stand around the times of creation, to begin there.
--
-- Never prepared: planned with its values, a filter that is NULL folds away.
SELECT
    e.id::text, e.task, e.status, e.queue, e.priority,
    CASE WHEN %(with_request)s THEN e.request END, CASE WHEN %(with_result)s THEN e.result END,
    e.error, e.attempt, e.uncounted, e.max_attempts, e.crashes, e.timeout_s, e.progress,
    e.progress_message, e.tags, e.user_id, e.unique_key, e.parent_id::text, e.rerun_of::text,
    e.worker_id::text, e.cancel_requested_at, e.run_at, e.created_at, e.queued_at, e.started_at,
    e.finished_at, e.expires_at, e.reason
FROM (
    SELECT *
    FROM {schema}.executions AS e
    WHERE
        {filters_found}
        AND (%(after)s::uuid IS NULL OR e.id < %(after)s::uuid)
    ORDER BY e.id DESC
    LIMIT %(scan)s::integer
) AS e
WHERE
    {filters_held}
ORDER BY e.id DESC
LIMIT %(limit)s::integer
