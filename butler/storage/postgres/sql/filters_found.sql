-- The filters of a list that an index finds; part of find.sql, find_scanned.sql and count.sql, which
-- must agree about them. Which filters these are depends on the others: butler/storage/finding.py.
--
-- What is not over is in several partial indexes, which are put together only if each state stands
-- alone: with = ANY (...) ten million rows were read to find that nothing runs.
(%(found_statuses)s::text[] IS NULL OR e.status = ANY (%(found_statuses)s::text[]))
AND (
    %(unfinished)s::text[] IS NULL
    OR ('scheduled' = ANY (%(unfinished)s::text[]) AND e.status = 'scheduled')
    OR ('queued' = ANY (%(unfinished)s::text[]) AND e.status = 'queued')
    OR ('running' = ANY (%(unfinished)s::text[]) AND e.status = 'running')
    OR ('retrying' = ANY (%(unfinished)s::text[]) AND e.status = 'retrying')
)
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
