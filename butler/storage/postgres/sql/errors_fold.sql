-- Fold some deltas of errors into their groups and the counts a minute, if the caller leads; how
-- many. As stats_fold.sql.
WITH taken AS MATERIALIZED (
    DELETE FROM {schema}.error_deltas AS d
    WHERE d.ctid = ANY (
        ARRAY(
            SELECT x.ctid
            FROM {schema}.error_deltas AS x
            WHERE EXISTS (
                SELECT
                FROM {schema}.leadership AS l
                WHERE l.epoch = %(epoch)s::bigint
                    AND l.holder IS NOT NULL
            )
            LIMIT %(limit)s::integer
            FOR UPDATE SKIP LOCKED
        )
    )
    RETURNING
        d.at, d.task, d.fingerprint, d.type, d.place, d.message, d.execution_id, d.number
),
counted AS (
    INSERT INTO {schema}.error_counts AS c (at, task, fingerprint, number)
    SELECT
        date_trunc('minute', taken.at), taken.task, taken.fingerprint, sum(taken.number)
    FROM taken
    GROUP BY date_trunc('minute', taken.at), taken.task, taken.fingerprint
    ORDER BY 1, 2, 3
    ON CONFLICT (at, task, fingerprint) DO UPDATE
    SET number = c.number + excluded.number
),
grouped AS (
    INSERT INTO {schema}.error_groups AS g (
        task, fingerprint, type, place, message, execution_id, first_seen, last_seen
    )
    SELECT DISTINCT ON (taken.task, taken.fingerprint)
        taken.task, taken.fingerprint, taken.type, taken.place, taken.message, taken.execution_id,
        min(taken.at) OVER (PARTITION BY taken.task, taken.fingerprint), taken.at
    FROM taken
    ORDER BY taken.task, taken.fingerprint, taken.at DESC
    ON CONFLICT (task, fingerprint) DO UPDATE
    SET message = CASE WHEN excluded.last_seen >= g.last_seen THEN excluded.message ELSE g.message END,
        execution_id = CASE
            WHEN excluded.last_seen >= g.last_seen THEN excluded.execution_id
            ELSE g.execution_id
        END,
        first_seen = least(g.first_seen, excluded.first_seen),
        last_seen = greatest(g.last_seen, excluded.last_seen)
)
SELECT count(*)
FROM taken
