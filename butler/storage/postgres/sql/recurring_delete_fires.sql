-- Remove some fires of jobs that are gone: a job may have had millions.
WITH doomed AS MATERIALIZED (
    SELECT f.job_id, f.fire_at
    FROM {schema}.recurring_fires AS f
    WHERE f.job_id = ANY (%(ids)s::uuid[])
        AND NOT EXISTS (SELECT FROM {schema}.recurring_jobs AS j WHERE j.id = f.job_id)
    LIMIT %(limit)s::integer
)
DELETE FROM {schema}.recurring_fires AS f
USING doomed
WHERE f.job_id = doomed.job_id
    AND f.fire_at = doomed.fire_at
