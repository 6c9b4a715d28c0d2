-- A page of the audit log, newest first. Never prepared, like find.sql.
SELECT
    a.id::text, a.at, a.actor, a.role, a.action, a.target, a.status, a.address, a.request_id,
    a.reason, a.details
FROM {schema}.audit_log AS a
WHERE
    (%(actor)s::text IS NULL OR a.actor = %(actor)s::text)
    AND (
        %(action)s::text IS NULL
        OR a.action = %(action)s::text
        OR starts_with(a.action, %(action)s::text || '.')
    )
    AND (%(target)s::text IS NULL OR a.target = %(target)s::text)
    AND (%(since)s::timestamptz IS NULL OR a.at >= %(since)s::timestamptz)
    AND (%(until)s::timestamptz IS NULL OR a.at < %(until)s::timestamptz)
    AND (%(after)s::uuid IS NULL OR a.id < %(after)s::uuid)
ORDER BY a.id DESC
LIMIT %(limit)s::integer
