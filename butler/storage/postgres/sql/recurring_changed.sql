-- Which of these changes were done by an earlier try.
SELECT j.id::text
FROM {schema}.recurring_jobs AS j
WHERE j.change_id = %(change_id)s::uuid
    AND j.id = ANY (%(ids)s::uuid[])
