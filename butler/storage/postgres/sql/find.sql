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
        (%(found_statuses)s::text[] IS NULL OR e.status = ANY (%(found_statuses)s::text[]))
        AND (%(found_task)s::text IS NULL OR e.task = %(found_task)s::text)
        AND (%(user_id)s::text IS NULL OR e.user_id = %(user_id)s::text)
        AND (%(parent_id)s::uuid IS NULL OR e.parent_id = %(parent_id)s::uuid)
        AND (
            %(recurring_job_id)s::uuid IS NULL
            OR e.id IN (
                SELECT f.execution_id
                FROM {schema}.recurring_fires AS f
                WHERE f.job_id = %(recurring_job_id)s::uuid
            )
        )
        AND (%(from_id)s::uuid IS NULL OR e.id >= %(from_id)s::uuid)
        AND (%(to_id)s::uuid IS NULL OR e.id < %(to_id)s::uuid)
        AND (%(after)s::uuid IS NULL OR e.id < %(after)s::uuid)
    ORDER BY e.id DESC
    LIMIT %(scan)s::integer
) AS e
WHERE
    (%(statuses)s::text[] IS NULL OR e.status = ANY (%(statuses)s::text[]))
    AND (%(task)s::text IS NULL OR e.task = %(task)s::text)
    AND (%(queue)s::text IS NULL OR e.queue = %(queue)s::text)
    AND (%(tag)s::text IS NULL OR %(tag)s::text = ANY (e.tags))
    AND (%(unique_key)s::text IS NULL OR e.unique_key = %(unique_key)s::text)
    AND (%(queues_within)s::text[] IS NULL OR e.queue = ANY (%(queues_within)s::text[]))
    AND (%(tags_within)s::text[] IS NULL OR e.tags && %(tags_within)s::text[])
    AND (%(created_after)s::timestamptz IS NULL OR e.created_at >= %(created_after)s::timestamptz)
    AND (%(created_before)s::timestamptz IS NULL OR e.created_at < %(created_before)s::timestamptz)
    AND (%(started_after)s::timestamptz IS NULL OR e.started_at >= %(started_after)s::timestamptz)
    AND (%(started_before)s::timestamptz IS NULL OR e.started_at < %(started_before)s::timestamptz)
    AND (%(finished_after)s::timestamptz IS NULL OR e.finished_at >= %(finished_after)s::timestamptz)
    AND (%(finished_before)s::timestamptz IS NULL OR e.finished_at < %(finished_before)s::timestamptz)
    AND (%(text)s::text IS NULL OR e.error ->> 'message' ILIKE %(text)s::text)
    AND (
        %(request)s::jsonb IS NULL
        OR NOT EXISTS (
            SELECT
            FROM jsonb_to_recordset(%(request)s::jsonb) AS f (path text[], value text)
            WHERE e.request #>> f.path IS DISTINCT FROM f.value
                OR jsonb_typeof(e.request #> f.path) IN ('object', 'array')
        )
    )
ORDER BY e.id DESC
LIMIT %(limit)s::integer
