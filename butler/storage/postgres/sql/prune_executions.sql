-- Look at the next executions in id order, and remove those that are over their retention, with all
-- that belongs to them, if the caller leads.
--
-- Ids are UUIDv7, so the primary key is the order of creation, and what was created after the bound
-- cannot be old enough. No index on finished_at is needed, which each finish would have to write.
-- Rows that somebody holds are skipped and found the next time. The columns: the last id looked at,
-- how many were looked at, and how many are gone.
WITH bound AS MATERIALIZED (
    SELECT
        rpad(
            lpad(
                to_hex(
                    floor(
                        extract(
                            epoch FROM now() - make_interval(secs => %(young_s)s::double precision)
                        ) * 1000
                    )::bigint
                ),
                12, '0'
            ),
            32, '0'
        )::uuid AS id
    WHERE EXISTS (
        SELECT
        FROM {schema}.leadership AS l
        WHERE l.epoch = %(epoch)s::bigint
            AND l.holder IS NOT NULL
    )
),
page AS MATERIALIZED (
    SELECT e.id, e.task, e.status, e.finished_at
    FROM {schema}.executions AS e
    WHERE e.id > %(after)s::uuid
        AND e.id < (SELECT bound.id FROM bound)
    ORDER BY e.id
    LIMIT %(limit)s::integer
),
judged AS MATERIALIZED (
    SELECT page.id
    FROM page
    LEFT JOIN unnest(
        %(tasks)s::text[], %(tasks_succeeded_s)s::double precision[],
        %(tasks_failed_s)s::double precision[], %(tasks_cancelled_s)s::double precision[]
    ) AS own (task, succeeded_s, failed_s, cancelled_s) ON own.task = page.task
    WHERE page.finished_at < now() - make_interval(secs => CASE page.status
        WHEN 'succeeded' THEN coalesce(own.succeeded_s, %(succeeded_s)s::double precision)
        WHEN 'failed' THEN coalesce(own.failed_s, %(failed_s)s::double precision)
        WHEN 'cancelled' THEN coalesce(own.cancelled_s, %(cancelled_s)s::double precision)
    END)
),
doomed AS MATERIALIZED (
    SELECT e.id
    FROM judged
    CROSS JOIN LATERAL (
        SELECT x.id
        FROM {schema}.executions AS x
        WHERE x.id = judged.id
            AND x.status IN ('succeeded', 'failed', 'cancelled')
        OFFSET 0
        FOR UPDATE SKIP LOCKED
    ) AS e
),
deleted_events AS (
    DELETE FROM {schema}.execution_events AS v
    USING doomed
    WHERE v.execution_id = doomed.id
),
deleted_attempts AS (
    DELETE FROM {schema}.execution_attempts AS a
    USING doomed
    WHERE a.execution_id = doomed.id
),
deleted AS (
    DELETE FROM {schema}.executions AS e
    USING doomed
    WHERE e.id = doomed.id
    RETURNING e.id
)
SELECT
    (SELECT page.id::text FROM page ORDER BY page.id DESC LIMIT 1),
    (SELECT count(*) FROM page),
    (SELECT count(*) FROM deleted)
