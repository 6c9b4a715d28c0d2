-- Where find.sql stopped looking: the last of the rows that it may look at, if there are so many.
SELECT e.id::text
FROM {schema}.executions AS e
WHERE
    (%(found_statuses)s::text[] IS NULL OR e.status = ANY (%(found_statuses)s::text[]))
    AND (%(found_task)s::text IS NULL OR e.task = %(found_task)s::text)
    AND (%(user_id)s::text IS NULL OR e.user_id = %(user_id)s::text)
    AND (%(parent_id)s::uuid IS NULL OR e.parent_id = %(parent_id)s::uuid)
    AND (
        %(recurring_job_id)s::uuid IS NULL
        OR e.id IN (
            SELECT f.execution_id
            FROM {schema}.recurring_fires AS f
            WHERE f.job_id = %(recurring_job_id)s::uuid
        )
    )
    AND (%(from_id)s::uuid IS NULL OR e.id >= %(from_id)s::uuid)
    AND (%(to_id)s::uuid IS NULL OR e.id < %(to_id)s::uuid)
    AND (%(after)s::uuid IS NULL OR e.id < %(after)s::uuid)
ORDER BY e.id DESC
OFFSET %(skipped)s::integer
LIMIT 1
