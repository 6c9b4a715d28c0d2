-- How many executions match, by status; never prepared, like find.sql.
SELECT e.status, count(*)
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
GROUP BY e.status
