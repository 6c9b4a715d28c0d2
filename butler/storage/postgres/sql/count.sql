-- How many executions match, by status; never prepared, like find.sql.
SELECT e.status, count(*)
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
    AND (%(statuses)s::text[] IS NULL OR e.status = ANY (%(statuses)s::text[]))
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
GROUP BY e.status
