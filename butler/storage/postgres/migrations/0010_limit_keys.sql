-- Executions that are enqueued in transactions carry the names under which their limits are counted.
--
-- The function is that of migration 0002 with this one column more.

CREATE OR REPLACE FUNCTION {schema}.place_rows(rows jsonb, notify boolean, unique_wait_s double precision)
RETURNS TABLE (given uuid, execution uuid, is_new boolean, is_replaced boolean)
LANGUAGE plpgsql VOLATILE
SET lock_timeout = '2s'
SET search_path = pg_catalog, pg_temp
AS $body$
#variable_conflict use_column
DECLARE
    r record;
    holder record;
    tries integer;
    began timestamptz := clock_timestamp();
    first_run_at timestamptz;
BEGIN
    PERFORM set_config(
        'lock_timeout', greatest(1, ceil(unique_wait_s * 1000))::bigint || 'ms', true
    );

    RETURN QUERY
    WITH t AS MATERIALIZED (
        SELECT j.*
        FROM jsonb_to_recordset(rows) AS j (
            id uuid, task text, queue text, priority text, request text, max_attempts integer,
            run_at timestamptz, delay_s double precision, expires_at timestamptz,
            timeout_s double precision, user_id text, tags text[], parent_id uuid, rerun_of uuid,
            fingerprint text, unique_key text, limit_keys jsonb
        )
        WHERE j.unique_key IS NULL
    ),
    written AS (
        INSERT INTO {schema}.executions (
            id, task, queue, priority, status, request, max_attempts, timeout_s, user_id, tags,
            parent_id, rerun_of, fingerprint, run_at, created_at, expires_at, limit_keys
        )
        SELECT
            t.id, t.task, t.queue, t.priority, 'scheduled', t.request::jsonb, t.max_attempts,
            t.timeout_s, t.user_id, coalesce(t.tags, '{}'), t.parent_id, t.rerun_of, t.fingerprint,
            coalesce(
                t.run_at, clock_timestamp() + make_interval(secs => coalesce(t.delay_s, 0))
            ),
            clock_timestamp(), t.expires_at, t.limit_keys
        FROM t
        ON CONFLICT (id) DO NOTHING
    )
    SELECT t.id, t.id, true, false
    FROM t;

    FOR r IN
        SELECT
            j.*,
            coalesce(
                j.run_at, clock_timestamp() + make_interval(secs => coalesce(j.delay_s, 0))
            ) AS due_at
        FROM jsonb_array_elements(rows) WITH ORDINALITY AS item (fields, n)
        CROSS JOIN LATERAL jsonb_to_record(item.fields) AS j (
            id uuid, task text, queue text, priority text, request text, max_attempts integer,
            run_at timestamptz, delay_s double precision, expires_at timestamptz,
            timeout_s double precision, user_id text, tags text[], parent_id uuid, rerun_of uuid,
            fingerprint text, unique_key text, replace boolean, limit_keys jsonb
        )
        WHERE j.unique_key IS NOT NULL
        ORDER BY j.task, j.unique_key, item.n
    LOOP
        tries := 0;
        LOOP
            tries := tries + 1;
            IF tries > 20 THEN
                RAISE EXCEPTION 'the unique key % of % changed hands % times', r.unique_key, r.task,
                    tries - 1
                    USING ERRCODE = 'lock_not_available';
            END IF;
            -- A statement that was sent twice.
            IF EXISTS (SELECT FROM {schema}.executions AS e WHERE e.id = r.id) THEN
                RETURN QUERY SELECT r.id, r.id, true, false;
                EXIT;
            END IF;
            INSERT INTO {schema}.unique_keys (task, key, execution_id)
            VALUES (r.task, r.unique_key, r.id)
            ON CONFLICT (task, key) DO NOTHING;
            IF FOUND THEN
                INSERT INTO {schema}.executions (
                    id, task, queue, priority, status, request, max_attempts, timeout_s, user_id,
                    tags, unique_key, parent_id, rerun_of, fingerprint, run_at, created_at,
                    expires_at, limit_keys
                )
                VALUES (
                    r.id, r.task, r.queue, r.priority, 'scheduled', r.request::jsonb,
                    r.max_attempts, r.timeout_s, r.user_id, coalesce(r.tags, '{}'), r.unique_key,
                    r.parent_id, r.rerun_of, r.fingerprint, r.due_at, clock_timestamp(),
                    r.expires_at, r.limit_keys
                );
                RETURN QUERY SELECT r.id, r.id, true, false;
                EXIT;
            END IF;
            SELECT k.execution_id AS id, e.status
            INTO holder
            FROM {schema}.unique_keys AS k
            LEFT JOIN {schema}.executions AS e ON e.id = k.execution_id
            WHERE k.task = r.task
                AND k.key = r.unique_key;
            CONTINUE WHEN NOT FOUND;
            IF coalesce(holder.status IN ('succeeded', 'failed', 'cancelled'), true) THEN
                -- See unique_free.sql.
                DELETE FROM {schema}.unique_keys AS k
                WHERE k.task = r.task
                    AND k.key = r.unique_key
                    AND k.execution_id = holder.id
                    AND NOT EXISTS (
                        SELECT
                        FROM {schema}.executions AS e
                        WHERE e.id = k.execution_id
                            AND e.status NOT IN ('succeeded', 'failed', 'cancelled')
                    );
                CONTINUE;
            END IF;
            IF NOT coalesce(r.replace, false) OR holder.status NOT IN ('scheduled', 'retrying') THEN
                RETURN QUERY SELECT r.id, holder.id, false, false;
                EXIT;
            END IF;
            -- See replace.sql.
            UPDATE {schema}.executions AS e
            SET request = r.request::jsonb,
                queue = r.queue,
                priority = r.priority,
                max_attempts = greatest(r.max_attempts, e.attempt - e.uncounted + 1),
                timeout_s = r.timeout_s,
                user_id = r.user_id,
                tags = coalesce(r.tags, '{}'),
                fingerprint = r.fingerprint,
                limit_keys = r.limit_keys,
                run_at = r.due_at,
                expires_at = r.expires_at,
                reason = NULL
            WHERE e.id = holder.id
                AND e.status IN ('scheduled', 'retrying');
            IF FOUND THEN
                RETURN QUERY SELECT r.id, holder.id, false, true;
                EXIT;
            END IF;
        END LOOP;
    END LOOP;

    IF notify THEN
        -- Nothing above is due before this.
        SELECT min(coalesce(j.run_at, began + make_interval(secs => coalesce(j.delay_s, 0))))
        INTO first_run_at
        FROM jsonb_to_recordset(rows) AS j (run_at timestamptz, delay_s double precision);
        -- Also for what is due a little later: the commit may take longer than that.
        IF first_run_at < began + interval '10 minutes' THEN
            PERFORM pg_notify(
                'butler_due_' || (SELECT m.value FROM {schema}.meta AS m WHERE m.key = 'ledger_id'),
                to_jsonb(first_run_at) #>> '{}'
            );
        END IF;
    END IF;
END
$body$;
