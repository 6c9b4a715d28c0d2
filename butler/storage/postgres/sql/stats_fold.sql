-- Fold some of what was counted into the rows of its minute, hour and day, if the caller leads; how
-- much: at least ``limit`` when there may be more.
--
-- Batches are taken until they hold ``limit`` ends, a tenth as many deltas beside. What is deleted here
-- is what is added here: what commits late is simply folded later, and two folds at once share the
-- rest between them. Rows are written in key order, so that they do not deadlock. Buckets are counted a
-- minute first, which leaves few to be counted an hour and a day.
WITH led AS MATERIALIZED (
    SELECT l.epoch
    FROM {schema}.leadership AS l
    WHERE l.epoch = %(epoch)s::bigint
        AND l.holder IS NOT NULL
),
deltas AS MATERIALIZED (
    DELETE FROM {schema}.stats_deltas AS d
    WHERE d.ctid = ANY (
        ARRAY(
            SELECT x.ctid
            FROM {schema}.stats_deltas AS x
            WHERE EXISTS (SELECT FROM led)
            LIMIT greatest(%(limit)s::integer / 10, 1)
            FOR UPDATE SKIP LOCKED
        )
    )
    RETURNING
        d.at, d.task, d.queue, d.ending, d.status, d.number, d.wait_us, d.run_us, d.waits, d.runs
),
batches AS MATERIALIZED (
    DELETE FROM {schema}.stats_batches AS b
    WHERE b.ctid = ANY (
        ARRAY(
            SELECT x.ctid
            FROM {schema}.stats_batches AS x
            WHERE x.ctid = ANY (
                ARRAY(
                    SELECT c.ctid
                    FROM (
                        SELECT
                            s.ctid, s.ends, sum(s.ends) OVER (ROWS UNBOUNDED PRECEDING) AS so_far
                        FROM (
                            SELECT y.ctid, y.ends
                            FROM {schema}.stats_batches AS y
                            WHERE EXISTS (SELECT FROM led)
                            LIMIT %(limit)s::integer
                        ) AS s
                    ) AS c
                    WHERE c.so_far - c.ends < %(limit)s::integer
                )
            )
            FOR UPDATE SKIP LOCKED
        )
    )
    RETURNING b.at, b.ends, b.tasks, b.queues, b.endings, b.statuses, b.due, b.started
),
opened AS MATERIALIZED (
    SELECT
        date_trunc('minute', b.at, 'UTC') AS at, e.task, e.queue, e.ending, e.status, e.wait_us,
        e.run_us, {schema}.stats_bucket(e.wait_us) AS wait, {schema}.stats_bucket(e.run_us) AS run
    FROM batches AS b
    CROSS JOIN LATERAL {schema}.stats_opened(
        b.at, b.tasks, b.queues, b.endings, b.statuses, b.due, b.started
    ) AS e
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
            o.at, o.task, o.queue, o.ending, o.status, count(*) AS number,
            sum(o.wait_us) AS wait_us, sum(o.run_us) AS run_us
        FROM opened AS o
        GROUP BY o.at, o.task, o.queue, o.ending, o.status
        UNION ALL
        SELECT d.at, d.task, d.queue, d.ending, d.status, d.number, d.wait_us, d.run_us
        FROM deltas AS d
    ) AS m
    CROSS JOIN steps
    GROUP BY steps.step, date_trunc(steps.step, m.at, 'UTC'), m.task, m.queue, m.ending, m.status
),
bucketed AS (
    SELECT o.at, o.task, o.queue, o.ending, o.status, true AS waited, o.wait AS bucket, count(*) AS number
    FROM opened AS o
    GROUP BY o.at, o.task, o.queue, o.ending, o.status, o.wait
    UNION ALL
    SELECT o.at, o.task, o.queue, o.ending, o.status, false, o.run, count(*)
    FROM opened AS o
    GROUP BY o.at, o.task, o.queue, o.ending, o.status, o.run
    UNION ALL
    SELECT d.at, d.task, d.queue, d.ending, d.status, e.waited, e.bucket, 1
    FROM deltas AS d
    CROSS JOIN LATERAL (
        SELECT true, w.bucket FROM unnest(d.waits) AS w (bucket)
        UNION ALL
        SELECT false, r.bucket FROM unnest(d.runs) AS r (bucket)
    ) AS e (waited, bucket)
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
SELECT greatest(
    (SELECT count(*) FROM deltas) * 10,
    (SELECT coalesce(sum(batches.ends), 0) FROM batches)
)
