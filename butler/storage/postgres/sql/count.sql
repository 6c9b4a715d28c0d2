-- How many executions match, by status; never prepared, like find.sql.
SELECT e.status, count(*)
FROM {schema}.executions AS e
WHERE
    {filters_found}
    AND {filters_held}
GROUP BY e.status
