-- The filters of a list that are held against the rows an index has found; part of find.sql and
-- count.sql.
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
