-- Pack the minutes of up to ``limit`` tasks, queues and outcomes of the oldest hour that is over its
-- time as plain rows, if the caller leads; how many of these.
--
-- What is deleted here is what is added here. Rows are locked in key order, as stats_fold.sql writes
-- them. What a fold adds to such an hour later is a plain row again, and packed beside.
WITH led AS MATERIALIZED (
    SELECT l.epoch
    FROM {schema}.leadership AS l
    WHERE l.epoch = %(epoch)s::bigint
        AND l.holder IS NOT NULL
),
oldest AS MATERIALIZED (
    SELECT date_trunc('hour', min(s.at), 'UTC') AS at
    FROM {schema}.stats AS s
    WHERE s.step = 'minute'
        AND s.at < date_trunc('hour', now() - %(plain_for)s::interval, 'UTC')
        AND EXISTS (SELECT FROM led)
),
keys AS MATERIALIZED (
    SELECT DISTINCT s.task, s.queue, s.ending, s.status
    FROM oldest
    CROSS JOIN LATERAL (
        SELECT x.task, x.queue, x.ending, x.status
        FROM {schema}.stats AS x
        WHERE x.step = 'minute'
            AND x.at >= oldest.at
            AND x.at < oldest.at + interval '1 hour'
        OFFSET 0
    ) AS s
    ORDER BY s.task, s.queue, s.ending, s.status
    LIMIT %(limit)s::integer
),
taken AS MATERIALIZED (
    DELETE FROM {schema}.stats AS s
    WHERE s.ctid = ANY (
        ARRAY(
            SELECT x.ctid
            FROM {schema}.stats AS x
            WHERE x.step = 'minute'
                AND x.at >= (SELECT oldest.at FROM oldest)
                AND x.at < (SELECT oldest.at + interval '1 hour' FROM oldest)
                AND (x.task, x.queue, x.ending, x.status) IN (
                    SELECT keys.task, keys.queue, keys.ending, keys.status FROM keys
                )
            ORDER BY x.step, x.at, x.task, x.queue, x.ending, x.status
            FOR UPDATE
        )
    )
    RETURNING
        date_part('minute', s.at AT TIME ZONE 'UTC')::smallint AS minute, s.task, s.queue, s.ending,
        s.status, s.number, s.wait_us, s.run_us, s.waits, s.runs
),
summed AS (
    SELECT
        t.task, t.queue, t.ending, t.status,
        array_agg(t.minute ORDER BY t.minute) AS minutes,
        array_agg(t.number::integer ORDER BY t.minute) AS numbers,
        array_agg(t.wait_us ORDER BY t.minute) AS wait_us,
        array_agg(t.run_us ORDER BY t.minute) AS run_us
    FROM taken AS t
    GROUP BY t.task, t.queue, t.ending, t.status
),
entries AS (
    SELECT t.task, t.queue, t.ending, t.status, t.minute, e.waited, c.code
    FROM taken AS t
    CROSS JOIN LATERAL (
        SELECT true, w.entry FROM unnest(t.waits) AS w (entry)
        UNION ALL
        SELECT false, r.entry FROM unnest(t.runs) AS r (entry)
    ) AS e (waited, entry)
    CROSS JOIN LATERAL {schema}.stats_squeezed(e.entry) AS c (code)
    ORDER BY t.task, t.queue, t.ending, t.status, t.minute, c.code
),
squeezed AS (
    SELECT
        e.task, e.queue, e.ending, e.status,
        array_agg(e.minute) FILTER (WHERE e.waited) AS wait_minutes,
        array_agg(e.code) FILTER (WHERE e.waited) AS waits,
        array_agg(e.minute) FILTER (WHERE NOT e.waited) AS run_minutes,
        array_agg(e.code) FILTER (WHERE NOT e.waited) AS runs
    FROM entries AS e
    GROUP BY e.task, e.queue, e.ending, e.status
),
packed AS (
    INSERT INTO {schema}.stats_packed (
        at, task, queue, ending, status, minutes, numbers, wait_us, run_us, wait_minutes, waits,
        run_minutes, runs
    )
    SELECT
        oldest.at, summed.task, summed.queue, summed.ending, summed.status, summed.minutes,
        summed.numbers, summed.wait_us, summed.run_us, squeezed.wait_minutes, squeezed.waits,
        squeezed.run_minutes, squeezed.runs
    FROM summed
    CROSS JOIN oldest
    LEFT JOIN squeezed USING (task, queue, ending, status)
    RETURNING at
)
SELECT count(*)
FROM packed
