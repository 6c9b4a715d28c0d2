-- Remove the oldest recorded fires that are over their retention, if the caller leads.
--
-- By their places, which stay theirs while they are locked: joined by key, a table that was never
-- analyzed would be read whole.
DELETE FROM {schema}.recurring_fires AS f
WHERE f.ctid = ANY (ARRAY(
    SELECT x.ctid
    FROM {schema}.recurring_fires AS x
    WHERE x.recorded_at < now() - make_interval(secs => %(kept_s)s::double precision)
        AND x.outcome <> 'waiting'
        AND EXISTS (
            SELECT
            FROM {schema}.leadership AS l
            WHERE l.epoch = %(epoch)s::bigint
                AND l.holder IS NOT NULL
        )
    ORDER BY x.recorded_at
    LIMIT %(limit)s::integer
    FOR UPDATE SKIP LOCKED
))
