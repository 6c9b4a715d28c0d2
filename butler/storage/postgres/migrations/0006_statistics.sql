-- Statistics: deltas that each finish writes, and what the leader folds them into.
--
-- Deltas have no index and no key: they are only added, and read or deleted all together. A delta is
-- one batch's ends of one kind, with the bucket of each attempt's times (butler/histograms.py). What
-- is folded holds each bucket once, as bucket * 2^40 + count. Sums are whole microseconds, because
-- sums of floats would depend on the order of folding.

CREATE FUNCTION {schema}.stats_bucket(microseconds double precision) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT least(ceil(ln(greatest(microseconds, 1)) * 49.99833328888678), 1700)::smallint $$;

-- Two packed histograms as one.
CREATE FUNCTION {schema}.stats_merged(one bigint[], other bigint[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT array_agg((b.bucket << 40) + b.number ORDER BY b.bucket)
    FROM (
        SELECT e.entry >> 40 AS bucket, sum(e.entry & 1099511627775)::bigint AS number
        FROM unnest(one || other) AS e (entry)
        GROUP BY e.entry >> 40
    ) AS b
$$;

CREATE TABLE {schema}.stats_deltas (
    at timestamptz NOT NULL,
    task text NOT NULL,
    queue text NOT NULL,
    ending text NOT NULL,
    status text NOT NULL,
    number integer NOT NULL,
    wait_us bigint NOT NULL,
    run_us bigint NOT NULL,
    waits smallint[],
    runs smallint[]
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    vacuum_truncate = off
);

CREATE TABLE {schema}.stats (
    step text NOT NULL CHECK (step IN ('minute', 'hour', 'day')),
    at timestamptz NOT NULL,
    task text NOT NULL,
    queue text NOT NULL,
    ending text NOT NULL,
    status text NOT NULL,
    number bigint NOT NULL,
    wait_us bigint NOT NULL,
    run_us bigint NOT NULL,
    waits bigint[],
    runs bigint[],
    PRIMARY KEY (step, at, task, queue, ending, status)
) WITH (fillfactor = 70);

CREATE TABLE {schema}.error_deltas (
    at timestamptz NOT NULL,
    task text NOT NULL,
    fingerprint text NOT NULL,
    type text NOT NULL,
    place text NOT NULL,
    message text NOT NULL,
    execution_id uuid NOT NULL,
    number integer NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    vacuum_truncate = off
);

CREATE TABLE {schema}.error_groups (
    task text NOT NULL,
    fingerprint text NOT NULL,
    type text NOT NULL,
    place text NOT NULL,
    message text NOT NULL,
    execution_id uuid NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    PRIMARY KEY (task, fingerprint)
) WITH (fillfactor = 70);

CREATE TABLE {schema}.error_counts (
    at timestamptz NOT NULL,
    task text NOT NULL,
    fingerprint text NOT NULL,
    number bigint NOT NULL,
    PRIMARY KEY (at, task, fingerprint)
) WITH (fillfactor = 70);
