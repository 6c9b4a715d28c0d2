-- Remove some statistics that are over their time, if the caller leads; how many rows.
WITH led AS MATERIALIZED (
    SELECT l.epoch
    FROM {schema}.leadership AS l
    WHERE l.epoch = %(epoch)s::bigint
        AND l.holder IS NOT NULL
),
old_stats AS (
    DELETE FROM {schema}.stats AS s
    WHERE s.ctid = ANY (
        ARRAY(
            SELECT x.ctid
            FROM (VALUES ('minute'), ('hour'), ('day')) AS k (step)
            JOIN {schema}.stats AS x ON x.step = k.step AND x.at < now() - %(kept)s::interval
            WHERE EXISTS (SELECT FROM led)
            LIMIT %(limit)s::integer
        )
    )
    RETURNING s.at
),
old_packed AS (
    DELETE FROM {schema}.stats_packed AS p
    WHERE p.ctid = ANY (
        ARRAY(
            SELECT x.ctid
            FROM {schema}.stats_packed AS x
            WHERE x.at < now() - %(kept)s::interval - interval '1 hour'
                AND EXISTS (SELECT FROM led)
            LIMIT %(limit)s::integer
        )
    )
    RETURNING p.at
),
old_counts AS (
    DELETE FROM {schema}.error_counts AS c
    WHERE c.ctid = ANY (
        ARRAY(
            SELECT x.ctid
            FROM {schema}.error_counts AS x
            WHERE x.at < now() - %(kept)s::interval
                AND EXISTS (SELECT FROM led)
            LIMIT %(limit)s::integer
        )
    )
    RETURNING c.at
),
old_groups AS (
    DELETE FROM {schema}.error_groups AS g
    WHERE g.ctid = ANY (
        ARRAY(
            SELECT x.ctid
            FROM {schema}.error_groups AS x
            WHERE x.last_seen < now() - %(kept)s::interval
                AND EXISTS (SELECT FROM led)
            LIMIT %(limit)s::integer
        )
    )
    RETURNING g.task
)
SELECT
    (SELECT count(*) FROM old_stats)
        + (SELECT count(*) FROM old_packed)
        + (SELECT count(*) FROM old_counts)
        + (SELECT count(*) FROM old_groups)
