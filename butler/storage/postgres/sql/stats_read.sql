-- What ended in some spans of time, added up: folded rows of each span's step, minutes that are packed,
-- and what is not folded yet. One statement, so one snapshot: a delta is seen either as such or in what
-- it was folded into, a minute either plain or packed.
-- The columns: when (NULL unless ``every``), task and queue (NULL unless ``by_…``), ending, status,
-- number, the sums in microseconds, and both histograms, packed: NULL unless ``with_times``.
--
-- OFFSET 0 has each span looked up in the primary key: joined, all of the table was read.
WITH spans AS MATERIALIZED (
    SELECT s.step, s.since, s.until
    FROM unnest(
        %(steps)s::text[], %(sinces)s::timestamptz[], %(untils)s::timestamptz[]
    ) AS s (step, since, until)
),
found AS MATERIALIZED (
    SELECT
        s.at, s.task, s.queue, s.ending, s.status, s.number, s.wait_us, s.run_us,
        CASE WHEN %(with_times)s::boolean THEN s.waits END AS waits,
        CASE WHEN %(with_times)s::boolean THEN s.runs END AS runs
    FROM spans
    CROSS JOIN LATERAL (
        SELECT x.*
        FROM {schema}.stats AS x
        WHERE x.step = spans.step
            AND x.at >= spans.since
            AND x.at < spans.until
            AND (%(task)s::text IS NULL OR x.task = %(task)s::text)
            AND CASE
                WHEN %(queue)s::text IS NULL THEN x.queue <> %(internal)s::text
                ELSE x.queue = %(queue)s::text
            END
        OFFSET 0
    ) AS s
    UNION ALL
    SELECT
        p.at, p.task, p.queue, p.ending, p.status, p.number, p.wait_us, p.run_us,
        CASE WHEN %(with_times)s::boolean THEN p.waits END,
        CASE WHEN %(with_times)s::boolean THEN p.runs END
    FROM spans
    CROSS JOIN LATERAL (
        SELECT x.*
        FROM {schema}.stats_unpacked AS x
        WHERE spans.step = 'minute'
            AND x.hour >= date_trunc('hour', spans.since, 'UTC')
            AND x.hour < spans.until
            AND x.at >= spans.since
            AND x.at < spans.until
            AND (%(task)s::text IS NULL OR x.task = %(task)s::text)
            AND CASE
                WHEN %(queue)s::text IS NULL THEN x.queue <> %(internal)s::text
                ELSE x.queue = %(queue)s::text
            END
        OFFSET 0
    ) AS p
    UNION ALL
    SELECT
        d.at, d.task, d.queue, d.ending, d.status, d.number, d.wait_us, d.run_us,
        (
            SELECT array_agg((w.bucket::bigint << 40) + 1)
            FROM unnest(d.waits) AS w (bucket)
            WHERE %(with_times)s::boolean
        ),
        (
            SELECT array_agg((r.bucket::bigint << 40) + 1)
            FROM unnest(d.runs) AS r (bucket)
            WHERE %(with_times)s::boolean
        )
    FROM spans
    JOIN {schema}.stats_unfolded AS d ON d.at >= spans.since AND d.at < spans.until
    WHERE (%(task)s::text IS NULL OR d.task = %(task)s::text)
        AND CASE
            WHEN %(queue)s::text IS NULL THEN d.queue <> %(internal)s::text
            ELSE d.queue = %(queue)s::text
        END
),
keyed AS MATERIALIZED (
    SELECT
        CASE
            WHEN %(every)s::text IS NULL THEN '-infinity'::timestamptz
            ELSE date_trunc(%(every)s::text, found.at, 'UTC')
        END AS at,
        CASE WHEN %(by_task)s::boolean THEN found.task ELSE '' END AS task,
        CASE WHEN %(by_queue)s::boolean THEN found.queue ELSE '' END AS queue,
        found.ending, found.status, found.number, found.wait_us, found.run_us, found.waits,
        found.runs
    FROM found
),
summed AS (
    SELECT
        keyed.at, keyed.task, keyed.queue, keyed.ending, keyed.status, sum(keyed.number)::bigint AS number,
        sum(keyed.wait_us)::bigint AS wait_us, sum(keyed.run_us)::bigint AS run_us
    FROM keyed
    GROUP BY keyed.at, keyed.task, keyed.queue, keyed.ending, keyed.status
),
bucketed AS (
    SELECT
        keyed.at, keyed.task, keyed.queue, keyed.ending, keyed.status, e.waited, e.entry >> 40 AS bucket,
        sum(e.entry & 1099511627775)::bigint AS number
    FROM keyed
    CROSS JOIN LATERAL (
        SELECT true, w.entry FROM unnest(keyed.waits) AS w (entry)
        UNION ALL
        SELECT false, r.entry FROM unnest(keyed.runs) AS r (entry)
    ) AS e (waited, entry)
    GROUP BY keyed.at, keyed.task, keyed.queue, keyed.ending, keyed.status, e.waited, e.entry >> 40
),
packed AS (
    SELECT
        b.at, b.task, b.queue, b.ending, b.status,
        array_agg((b.bucket << 40) + b.number) FILTER (WHERE b.waited) AS waits,
        array_agg((b.bucket << 40) + b.number) FILTER (WHERE NOT b.waited) AS runs
    FROM bucketed AS b
    GROUP BY b.at, b.task, b.queue, b.ending, b.status
)
SELECT
    CASE WHEN %(every)s::text IS NOT NULL THEN summed.at END,
    CASE WHEN %(by_task)s::boolean THEN summed.task END,
    CASE WHEN %(by_queue)s::boolean THEN summed.queue END,
    summed.ending, summed.status, summed.number, summed.wait_us, summed.run_us,
    packed.waits, packed.runs
FROM summed
LEFT JOIN packed
    ON packed.at = summed.at
    AND packed.task = summed.task
    AND packed.queue = summed.queue
    AND packed.ending = summed.ending
    AND packed.status = summed.status
