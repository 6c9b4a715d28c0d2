-- Remove the oldest recorded fires that are over their retention, if the caller leads.
WITH doomed AS MATERIALIZED (
    SELECT f.job_id, f.fire_at
    FROM {schema}.recurring_fires AS f
    WHERE f.recorded_at < now() - make_interval(secs => %(kept_s)s::double precision)
        AND f.outcome <> 'waiting'
        AND EXISTS (
            SELECT
            FROM {schema}.leadership AS l
            WHERE l.epoch = %(epoch)s::bigint
                AND l.holder IS NOT NULL
        )
    ORDER BY f.recorded_at
    LIMIT %(limit)s::integer
    FOR UPDATE SKIP LOCKED
)
DELETE FROM {schema}.recurring_fires AS f
USING doomed
WHERE f.job_id = doomed.job_id
    AND f.fire_at = doomed.fire_at
