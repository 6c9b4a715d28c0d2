-- Fold some deltas into the rows of their minute, hour and day, if the caller leads; how many.
--
-- What is deleted here is what is added here: a delta that commits late is simply folded later, and
-- two folds at once share the deltas between them. Rows are written in key order, so that they do not
-- deadlock. Buckets are counted a minute first, which leaves few to be counted an hour and a day.
WITH taken AS MATERIALIZED (
    DELETE FROM {schema}.stats_deltas AS d
    WHERE d.ctid = ANY (
        ARRAY(
            SELECT x.ctid
            FROM {schema}.stats_deltas AS x
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
        d.at, d.task, d.queue, d.ending, d.status, d.number, d.wait_us, d.run_us, d.waits, d.runs
),
steps (step) AS (
    VALUES ('minute'), ('hour'), ('day')
),
summed AS (
    SELECT
        steps.step, date_trunc(steps.step, m.at, 'UTC') AS at, m.task, m.queue, m.ending, m.status,
        sum(m.number)::bigint AS number, sum(m.wait_us)::bigint AS wait_us,
        sum(m.run_us)::bigint AS run_us
    FROM (
        SELECT
            taken.at, taken.task, taken.queue, taken.ending, taken.status,
            sum(taken.number) AS number, sum(taken.wait_us) AS wait_us,
            sum(taken.run_us) AS run_us
        FROM taken
        GROUP BY taken.at, taken.task, taken.queue, taken.ending, taken.status
    ) AS m
    CROSS JOIN steps
    GROUP BY steps.step, date_trunc(steps.step, m.at, 'UTC'), m.task, m.queue, m.ending, m.status
),
bucketed AS (
    SELECT
        taken.at, taken.task, taken.queue, taken.ending, taken.status, e.waited, e.bucket,
        count(*) AS number
    FROM taken
    CROSS JOIN LATERAL (
        SELECT true, w.bucket FROM unnest(taken.waits) AS w (bucket)
        UNION ALL
        SELECT false, r.bucket FROM unnest(taken.runs) AS r (bucket)
    ) AS e (waited, bucket)
    GROUP BY
        taken.at, taken.task, taken.queue, taken.ending, taken.status, e.waited, e.bucket
),
packed AS (
    SELECT
        p.step, p.at, p.task, p.queue, p.ending, p.status,
        array_agg((p.bucket << 40) + p.number) FILTER (WHERE p.waited) AS waits,
        array_agg((p.bucket << 40) + p.number) FILTER (WHERE NOT p.waited) AS runs
    FROM (
        SELECT
            steps.step, date_trunc(steps.step, b.at, 'UTC') AS at, b.task, b.queue, b.ending,
            b.status, b.waited, b.bucket::bigint AS bucket, sum(b.number)::bigint AS number
        FROM bucketed AS b
        CROSS JOIN steps
        GROUP BY
            steps.step, date_trunc(steps.step, b.at, 'UTC'), b.task, b.queue, b.ending, b.status,
            b.waited, b.bucket
    ) AS p
    GROUP BY p.step, p.at, p.task, p.queue, p.ending, p.status
),
folded AS (
    INSERT INTO {schema}.stats AS s (
        step, at, task, queue, ending, status, number, wait_us, run_us, waits, runs
    )
    SELECT
        summed.step, summed.at, summed.task, summed.queue, summed.ending, summed.status,
        summed.number, summed.wait_us, summed.run_us, packed.waits, packed.runs
    FROM summed
    LEFT JOIN packed USING (step, at, task, queue, ending, status)
    ORDER BY step, at, task, queue, ending, status
    ON CONFLICT (step, at, task, queue, ending, status) DO UPDATE
    SET number = s.number + excluded.number,
        wait_us = s.wait_us + excluded.wait_us,
        run_us = s.run_us + excluded.run_us,
        waits = {schema}.stats_merged(s.waits, excluded.waits),
        runs = {schema}.stats_merged(s.runs, excluded.runs)
)
SELECT count(*)
FROM taken
