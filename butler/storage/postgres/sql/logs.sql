-- The lines that an execution has logged after a certain one, oldest first.
SELECT l.execution_id::text, l.attempt, l.id, l.at, l.level, l.logger, l.message, l.cut
FROM {schema}.execution_logs AS l
WHERE l.execution_id = %(id)s::uuid
    AND l.id > %(after)s::bigint
ORDER BY l.id
LIMIT %(limit)s::integer
