-- Where find.sql stopped looking: the last of the rows that it may look at, if there are so many.
SELECT e.id::text
FROM {schema}.executions AS e
WHERE
    {filters_found}
    AND (%(after)s::uuid IS NULL OR e.id < %(after)s::uuid)
ORDER BY e.id DESC
OFFSET %(skipped)s::integer
LIMIT 1
