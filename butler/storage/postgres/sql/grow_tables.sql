-- Make the tables of the hot statements some pages long, without a row in them.
--
-- A prepared statement keeps its plan while a table grows. Planned on a table of a few pages, it
-- would read the whole table for each id, and go on so until the next autovacuum: with 100,000
-- executions enqueued at once, seconds for each claim. A table of 64 pages is read by its primary
-- key whatever statistics say. Rows that are rolled back leave their pages; nobody ever sees them,
-- and vacuum_truncate = off keeps the pages. VACUUM FULL and a restored dump do not: then the
-- statements are not prepared until the next migrate (see small_tables.sql).
DO $$
BEGIN
    BEGIN
        INSERT INTO {schema}.executions (
            id, task, queue, priority, status, max_attempts, run_at, created_at
        )
        SELECT gen_random_uuid(), repeat('x', 1800), '', 'low', 'cancelled', 0, now(), now()
        FROM generate_series(1, 64 * 3);
        INSERT INTO {schema}.unique_keys (task, key, execution_id)
        SELECT repeat('x', 1800), n::text, gen_random_uuid()
        FROM generate_series(1, 64 * 4) AS n;
        RAISE EXCEPTION 'the pages stay, the rows do not' USING ERRCODE = 'P0001';
    EXCEPTION
        WHEN raise_exception THEN NULL;
    END;
END
$$
