-- One row of statistics for each batch of ends, however many tasks it was of.
--
-- A finish added a row for each of its tasks and outcomes: 200 rows for a batch of 256 ends of 200
-- tasks, which cost 4 % of throughput. Now it only copies what it knows of each attempt into arrays;
-- grouping, subtracting and choosing buckets are left to who folds or reads. ``ends`` is how many they
-- hold, so that a fold can take as much as it wants without opening any. Where ``endings`` is NULL all
-- succeeded.
--
-- Safe while workers of the release before run: their rows, and those of cancelling and expiring, are
-- in stats_deltas as before. Rejected: columns of stats_deltas, which a leader of the release before
-- would not fold; and one array of groups, which cost as much as the rows had (0.6 µs an end against
-- 2.3 and 2.8, of 200 tasks).

CREATE TABLE {schema}.stats_batches (
    at timestamptz NOT NULL,
    ends integer NOT NULL,
    tasks text[] NOT NULL,
    queues text[] NOT NULL,
    endings text[],
    statuses text[],
    due timestamptz[] NOT NULL,
    started timestamptz[] NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    vacuum_truncate = off
);

-- Each attempt of a batch.
CREATE FUNCTION {schema}.stats_opened(
    at timestamptz, tasks text[], queues text[], endings text[], statuses text[], due timestamptz[],
    started timestamptz[]
) RETURNS TABLE (task text, queue text, ending text, status text, wait_us bigint, run_us bigint)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT
        e.task, e.queue, coalesce(e.ending, 'succeeded'), coalesce(e.status, 'succeeded'),
        greatest(date_part('epoch', e.started - e.due) * 1e6, 0)::bigint,
        greatest(date_part('epoch', at - e.started) * 1e6, 0)::bigint
    FROM unnest(tasks, queues, endings, statuses, due, started)
        AS e (task, queue, ending, status, due, started)
$$;

-- What is counted and not folded yet.
CREATE VIEW {schema}.stats_unfolded AS
SELECT
    d.at, d.task, d.queue, d.ending, d.status, d.number::bigint, d.wait_us, d.run_us, d.waits, d.runs
FROM {schema}.stats_deltas AS d
UNION ALL
SELECT
    date_trunc('minute', b.at, 'UTC'), e.task, e.queue, e.ending, e.status, count(*),
    sum(e.wait_us)::bigint, sum(e.run_us)::bigint, array_agg({schema}.stats_bucket(e.wait_us)),
    array_agg({schema}.stats_bucket(e.run_us))
FROM {schema}.stats_batches AS b
CROSS JOIN LATERAL {schema}.stats_opened(
    b.at, b.tasks, b.queues, b.endings, b.statuses, b.due, b.started
) AS e
GROUP BY date_trunc('minute', b.at, 'UTC'), e.task, e.queue, e.ending, e.status;
