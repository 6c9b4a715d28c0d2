-- One alert.
SELECT
    a.id::text, a.state, a.acknowledged_at, a.acknowledged_by, a.resolved_at, a.body
FROM {schema}.alerts AS a
WHERE a.id = %(id)s::uuid
