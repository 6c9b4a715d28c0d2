-- Executions that are enqueued in transactions carry the trace they belong to.
--
-- The functions are those of migrations 0010 and 0002 with this one more. A function with another
-- argument is another function: the old one goes, or a call of either would be ambiguous. Code of the
-- release before calls it by names, and so finds the new one.

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
            fingerprint text, unique_key text, limit_keys jsonb, traceparent text
        )
        WHERE j.unique_key IS NULL
    ),
    written AS (
        INSERT INTO {schema}.executions (
            id, task, queue, priority, status, request, max_attempts, timeout_s, user_id, tags,
            parent_id, rerun_of, fingerprint, run_at, created_at, expires_at, limit_keys,
            traceparent
        )
        SELECT
            t.id, t.task, t.queue, t.priority, 'scheduled', t.request::jsonb, t.max_attempts,
            t.timeout_s, t.user_id, coalesce(t.tags, '{}'), t.parent_id, t.rerun_of, t.fingerprint,
            coalesce(
                t.run_at, clock_timestamp() + make_interval(secs => coalesce(t.delay_s, 0))
            ),
            clock_timestamp(), t.expires_at, t.limit_keys, t.traceparent
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
            fingerprint text, unique_key text, replace boolean, limit_keys jsonb,
            traceparent text
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
                    expires_at, limit_keys, traceparent
                )
                VALUES (
                    r.id, r.task, r.queue, r.priority, 'scheduled', r.request::jsonb,
                    r.max_attempts, r.timeout_s, r.user_id, coalesce(r.tags, '{}'), r.unique_key,
                    r.parent_id, r.rerun_of, r.fingerprint, r.due_at, clock_timestamp(),
                    r.expires_at, r.limit_keys, r.traceparent
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
                traceparent = r.traceparent,
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

DROP FUNCTION {schema}.enqueue(
    text, jsonb, text, text, timestamptz, double precision, timestamptz, text, boolean,
    integer, double precision, text, text[], uuid, boolean, double precision, uuid, text
);

-- Enqueue one execution in the present transaction; returns its id, or that of the unfinished
-- execution that holds the unique key. Made to be called by hand and by every driver:
--
--     SELECT butler.enqueue('Send Email', '{"to": "a@b.c"}');
--     SELECT butler.enqueue(task => 'Send Email', request => $1, delay_s => 60);
--
-- Each option that is left out is the task's own, as its workers announced it. fingerprint marks
-- the caller as code that has the task: then nothing is looked up, and NULL means none. An error
-- is raised, and with it the transaction is over, as with any statement.
CREATE FUNCTION {schema}.enqueue(
    task text,
    request jsonb DEFAULT NULL,
    queue text DEFAULT NULL,
    priority text DEFAULT NULL,
    run_at timestamptz DEFAULT NULL,
    delay_s double precision DEFAULT NULL,
    expires_at timestamptz DEFAULT NULL,
    unique_key text DEFAULT NULL,
    replace boolean DEFAULT false,
    max_attempts integer DEFAULT NULL,
    timeout_s double precision DEFAULT NULL,
    user_id text DEFAULT NULL,
    tags text[] DEFAULT '{}',
    parent_id uuid DEFAULT NULL,
    notify boolean DEFAULT true,
    unique_wait_s double precision DEFAULT 2,
    id uuid DEFAULT NULL,
    fingerprint text DEFAULT NULL,
    traceparent text DEFAULT NULL
) RETURNS uuid
LANGUAGE plpgsql VOLATILE
AS $body$
#variable_conflict use_variable
DECLARE
    known record;
    made uuid := coalesce(id, {schema}.new_id());
    placed uuid;
    problem text;
BEGIN
    IF fingerprint IS NULL THEN
        SELECT t.name, t.options, t.tags, t.fingerprint
        INTO known
        FROM {schema}.task_definitions AS t
        WHERE t.name = task OR t.options -> 'aliases' ? task
        ORDER BY t.name = task DESC
        LIMIT 1;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'no task named "%" is known to this ledger', task
                USING ERRCODE = 'invalid_parameter_value',
                    HINT = 'A worker that has the task must have started once. Known: '
                        || coalesce(
                            (SELECT string_agg(t.name, ', ') FROM {schema}.task_definitions AS t),
                            'none'
                        );
        END IF;
        IF unique_key IS NULL AND (known.options ->> 'unique_key_is_computed')::boolean THEN
            problem := 'the task computes its unique_key from the request: pass unique_key';
        END IF;
        task := known.name;
        queue := coalesce(queue, known.options ->> 'queue');
        priority := coalesce(priority, known.options ->> 'priority');
        max_attempts := coalesce(max_attempts, (known.options ->> 'max_attempts')::integer);
        timeout_s := coalesce(timeout_s, (known.options ->> 'timeout_s')::double precision);
        unique_key := coalesce(unique_key, known.options ->> 'unique_key');
        fingerprint := known.fingerprint;
        tags := ARRAY(
            SELECT each.tag
            FROM unnest(known.tags || coalesce(tags, '{}')) WITH ORDINALITY AS each (tag, n)
            GROUP BY each.tag
            ORDER BY min(each.n)
        );
    END IF;
    problem := coalesce(problem, CASE
        WHEN run_at IS NOT NULL AND delay_s IS NOT NULL
            THEN 'delay_s and run_at exclude each other: both say when to run'
        WHEN expires_at <= run_at
            THEN 'expires_at must be later than run_at'
        WHEN queue !~ '^[A-Za-z0-9_-]{1,100}$'
            THEN 'queue must be 1 to 100 letters, digits, "_" or "-", got ' || quote_literal(queue)
        WHEN priority NOT IN ('high', 'normal', 'low')
            THEN 'priority must be high, normal or low, got ' || quote_literal(priority)
        WHEN max_attempts NOT BETWEEN 1 AND 1000000
            THEN 'max_attempts must be in 1..1000000, got ' || max_attempts
        WHEN NOT (timeout_s > 0 AND timeout_s <= 31536000)
            THEN 'timeout_s must be > 0 and <= 31536000, got ' || timeout_s
        WHEN delay_s NOT BETWEEN 0 AND 315360000
            THEN 'delay_s must be in 0..315360000, got ' || delay_s
        WHEN char_length(unique_key) NOT BETWEEN 1 AND 500
            THEN 'unique_key must have 1 to 500 characters, got ' || char_length(unique_key)
        WHEN replace AND unique_key IS NULL
            THEN 'replace needs a unique_key: it replaces what waits under that key'
        WHEN char_length(user_id) NOT BETWEEN 1 AND 200
            THEN 'user_id must have 1 to 200 characters, got ' || char_length(user_id)
        WHEN cardinality(tags) > 50
            THEN 'tags must be at most 50, got ' || cardinality(tags)
        WHEN octet_length(request::text) > 1048576
            THEN 'request must have at most 1048576 bytes, got ' || octet_length(request::text)
        WHEN char_length(traceparent) > 100
            THEN 'traceparent must have at most 100 characters, got ' || char_length(traceparent)
    END);
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'enqueue of "%": %', task, problem
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT p.execution
    INTO placed
    FROM {schema}.place_rows(
        jsonb_build_array(jsonb_build_object(
            'id', made, 'task', task, 'queue', queue, 'priority', priority,
            'request', request::text, 'max_attempts', max_attempts, 'run_at', run_at,
            'delay_s', delay_s, 'expires_at', expires_at, 'timeout_s', timeout_s,
            'user_id', user_id, 'tags', tags, 'parent_id', parent_id,
            'fingerprint', fingerprint, 'unique_key', unique_key, 'replace', replace,
            'traceparent', traceparent
        )),
        notify, unique_wait_s
    ) AS p;
    RETURN placed;
EXCEPTION
    WHEN lock_not_available OR deadlock_detected THEN
        RAISE EXCEPTION 'the unique key "%" of "%" is being written by another transaction',
            unique_key, task
            USING ERRCODE = 'lock_not_available',
                DETAIL = 'Waited ' || unique_wait_s || ' s for it to end.',
                HINT = 'Try again, or let that transaction end sooner.';
END
$body$;
