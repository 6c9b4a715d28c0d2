-- The errors of a stretch of time by task and fingerprint, those not folded yet among them; see
-- stats_read.sql. A group's first and last time are over all that is kept.
WITH found AS (
    SELECT
        g.task, g.fingerprint, g.type, g.place, g.message, g.execution_id, g.first_seen,
        g.last_seen, coalesce(c.number, 0) AS number
    FROM {schema}.error_groups AS g
    LEFT JOIN (
        SELECT c.task, c.fingerprint, sum(c.number)::bigint AS number
        FROM {schema}.error_counts AS c
        WHERE c.at >= date_trunc('minute', %(since)s::timestamptz)
            AND (%(until)s::timestamptz IS NULL OR c.at < date_trunc('minute', %(until)s::timestamptz))
        GROUP BY c.task, c.fingerprint
    ) AS c ON c.task = g.task AND c.fingerprint = g.fingerprint
    UNION ALL
    SELECT
        d.task, d.fingerprint, d.type, d.place, d.message, d.execution_id, d.at, d.at,
        CASE
            WHEN d.at >= date_trunc('minute', %(since)s::timestamptz)
                AND (
                    %(until)s::timestamptz IS NULL
                    OR d.at < date_trunc('minute', %(until)s::timestamptz)
                )
                THEN d.number
            ELSE 0
        END
    FROM {schema}.error_deltas AS d
),
grouped AS (
    SELECT
        found.fingerprint, found.task, min(found.type) AS type, min(found.place) AS place,
        (array_agg(found.message ORDER BY found.last_seen DESC))[1] AS message,
        (array_agg(found.execution_id::text ORDER BY found.last_seen DESC))[1] AS execution_id,
        sum(found.number)::bigint AS number,
        min(found.first_seen) AS first_seen,
        max(found.last_seen) AS last_seen
    FROM found
    WHERE %(task)s::text IS NULL OR found.task = %(task)s::text
    GROUP BY found.fingerprint, found.task
)
SELECT
    grouped.fingerprint, grouped.task, grouped.type, grouped.place, grouped.message,
    grouped.execution_id, grouped.number, grouped.first_seen, grouped.last_seen
FROM grouped
WHERE grouped.number > 0
ORDER BY
    CASE WHEN %(order)s::text = 'number' THEN grouped.number END DESC,
    CASE WHEN %(order)s::text = 'first_seen' THEN grouped.first_seen END DESC,
    grouped.last_seen DESC, grouped.task, grouped.fingerprint
LIMIT %(limit)s::integer
