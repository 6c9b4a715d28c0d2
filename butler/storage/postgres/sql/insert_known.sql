-- The status of ids that were there before: an earlier try of the same insert wrote them.
SELECT e.id::text, e.status
FROM {schema}.executions AS e
WHERE e.id = ANY (%(ids)s::uuid[])
