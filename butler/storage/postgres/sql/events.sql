-- The recorded progress of an execution, oldest first.
SELECT v.execution_id::text, v.attempt, v.kind, v.at, v.percent, v.message
FROM {schema}.execution_events AS v
WHERE v.execution_id = %(id)s::uuid
ORDER BY v.id
