-- A page of executions, newest first: ids are UUIDv7, so the primary key is the order of creation.
--
-- Never prepared: planned with its values, a filter that is NULL folds away.
SELECT
    e.id::text, e.task, e.status, e.queue, e.priority, e.request, e.result, e.error, e.attempt,
    e.uncounted, e.max_attempts, e.crashes, e.timeout_s, e.progress, e.progress_message, e.tags,
    e.user_id, e.unique_key, e.parent_id::text, e.rerun_of::text, e.worker_id::text,
    e.cancel_requested_at, e.run_at, e.created_at, e.queued_at, e.started_at, e.finished_at,
    e.expires_at, e.reason
FROM {schema}.executions AS e
WHERE
    (%(statuses)s::text[] IS NULL OR e.status = ANY (%(statuses)s::text[]))
    AND (%(task)s::text IS NULL OR e.task = %(task)s::text)
    AND (%(queue)s::text IS NULL OR e.queue = %(queue)s::text)
    AND (%(tag)s::text IS NULL OR %(tag)s::text = ANY (e.tags))
    AND (%(user_id)s::text IS NULL OR e.user_id = %(user_id)s::text)
    AND (%(parent_id)s::uuid IS NULL OR e.parent_id = %(parent_id)s::uuid)
    AND (%(unique_key)s::text IS NULL OR e.unique_key = %(unique_key)s::text)
    AND (%(text)s::text IS NULL OR e.error ->> 'message' ILIKE %(text)s::text)
    AND (%(created_after)s::timestamptz IS NULL OR e.created_at >= %(created_after)s::timestamptz)
    AND (%(created_before)s::timestamptz IS NULL OR e.created_at < %(created_before)s::timestamptz)
    AND (%(after)s::uuid IS NULL OR e.id < %(after)s::uuid)
ORDER BY e.id DESC
LIMIT %(limit)s::integer
