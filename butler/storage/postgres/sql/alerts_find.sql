-- A page of alerts, newest first.
SELECT
    a.id::text, a.state, a.acknowledged_at, a.acknowledged_by, a.resolved_at, a.body
FROM {schema}.alerts AS a
WHERE (%(states)s::text[] IS NULL OR a.state = ANY (%(states)s::text[]))
    AND (%(rule)s::text IS NULL OR a.rule = %(rule)s::text)
    AND (%(subject)s::text IS NULL OR a.subject = %(subject)s::text)
    AND (%(after)s::uuid IS NULL OR a.id < %(after)s::uuid)
ORDER BY a.id DESC
LIMIT %(limit)s::integer
