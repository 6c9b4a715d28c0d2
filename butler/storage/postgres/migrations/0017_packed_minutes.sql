-- Minutes for 90 days: those older than a day are packed, one row an hour for each task, queue and
-- outcome.
--
-- Plain rows of minutes were kept for 8 days, because 90 days of 50 tasks are 2.2 GB of them where
-- each task ends once a minute, and 13.8 GB where it ends 100 times; packed they are 0.3 and 1.8 GB.
-- Minutes and sums are parallel arrays. So are the entries of a histogram and their minutes; an entry
-- is bucket * 19 + p and stands for 2^p in that bucket: 5 are two entries, and 2 bytes each of them
-- compress well once a row is larger than 2 kB. The same minute may be in several rows and in stats
-- besides, where something was counted late: whoever reads adds them.
--
-- Safe while processes of the release before run: they see plain minutes alone. Until they are gone,
-- windows they read that begin more than a day ago lack what ended before the first whole hour. So do
-- everybody's that begin where minutes are gone already, 8 days and more before this migration.
-- Rejected: variable-length integers made in Python, 0.3 and 1.2 GB, which SQL could not read, so that
-- packing took two statements and reading had no one snapshot; and 4-byte entries that hold their
-- minute, 4.3 GB.

CREATE TABLE {schema}.stats_packed (
    at timestamptz NOT NULL,
    task text NOT NULL,
    queue text NOT NULL,
    ending text NOT NULL,
    status text NOT NULL,
    minutes smallint[] NOT NULL,
    numbers integer[] NOT NULL,
    wait_us bigint[] NOT NULL,
    run_us bigint[] NOT NULL,
    wait_minutes smallint[],
    waits smallint[],
    run_minutes smallint[],
    runs smallint[]
);

-- For reading and for pruning.
CREATE INDEX stats_packed_at ON {schema}.stats_packed (at, task);

-- The entries that are a count of a bucket.
CREATE FUNCTION {schema}.stats_squeezed(entry bigint) RETURNS SETOF smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT ((entry >> 40) * 19 + p.power)::smallint
    FROM (SELECT entry & 1099511627775 AS number) AS c
    CROSS JOIN LATERAL generate_series(
        0, least(18, ceil(ln(greatest(c.number, 1)) * 1.5)::integer)
    ) AS p (power)
    CROSS JOIN LATERAL generate_series(
        1, CASE WHEN p.power = 18 THEN c.number >> 18 ELSE (c.number >> p.power) & 1 END
    )
$$;

-- What is packed, as rows of stats; and the hour it is found by.
CREATE VIEW {schema}.stats_unpacked AS
SELECT
    p.at AS hour, p.at + u.minute * interval '1 minute' AS at, p.task, p.queue, p.ending, p.status,
    u.number, u.wait_us, u.run_us, u.waits, u.runs
FROM {schema}.stats_packed AS p
CROSS JOIN LATERAL (
    SELECT m.minute, m.number::bigint AS number, m.wait_us, m.run_us, h.waits, h.runs
    FROM unnest(p.minutes, p.numbers, p.wait_us, p.run_us) AS m (minute, number, wait_us, run_us)
    LEFT JOIN (
        SELECT
            e.minute,
            array_agg(e.entry) FILTER (WHERE e.waited) AS waits,
            array_agg(e.entry) FILTER (WHERE NOT e.waited) AS runs
        FROM (
            SELECT
                true AS waited, w.minute,
                ((w.code / 19)::bigint << 40) + (1 << (w.code % 19)) AS entry
            FROM unnest(p.wait_minutes, p.waits) AS w (minute, code)
            UNION ALL
            SELECT false, r.minute, ((r.code / 19)::bigint << 40) + (1 << (r.code % 19))
            FROM unnest(p.run_minutes, p.runs) AS r (minute, code)
        ) AS e
        GROUP BY e.minute
    ) AS h ON h.minute = m.minute
    OFFSET 0
) AS u;
