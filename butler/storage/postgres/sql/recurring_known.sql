-- Which of these ids are there.
SELECT j.id::text
FROM {schema}.recurring_jobs AS j
WHERE j.id = ANY (%(ids)s::uuid[])
