-- Limits: how many executions of a task, of a key or of a queue may run at once, how often they may
-- start, and which queues are paused.
--
-- Safe while workers of the release before run: they see a nullable column more, and obey no limit
-- until they are replaced.
--
-- Law: at no instant more live attempts than a limit allows. A slot is (name, execution, attempt); it
-- counts while that execution runs in that attempt, so that ending one needs no word to this table,
-- and nothing can drift. claim_limited locks a row for each name it needs, in the order of names, and
-- counts under a snapshot taken after that: in a single statement the count would be as old as the
-- wait for the lock, and too small. Its commit is synchronous, unlike that of claim.sql: a claim that
-- a crash of the server took back would be running without being counted.
--
-- Rejected: counters in a row, which a lost worker leaves too high for ever; a column of the
-- executions with an index, which each execution would pay for.

ALTER TABLE {schema}.executions ADD COLUMN limit_keys jsonb;

-- What is allowed: "declared" by code, "given" by an operator, who has the last word. A task's and a
-- key's name stand as they are, a queue's after "queue:". Few rows: claim.sql reads all but the keys.
CREATE TABLE {schema}.limits (
    name text PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('task', 'key', 'queue')),
    declared jsonb,
    given jsonb,
    paused_at timestamptz,
    changed_at timestamptz NOT NULL
);

-- The row of a name that is locked, and up to when its rate has been used (GCRA's theoretical
-- arrival time).
CREATE TABLE {schema}.limit_states (
    name text PRIMARY KEY,
    used_until timestamptz
) WITH (fillfactor = 50, vacuum_truncate = off);

CREATE TABLE {schema}.limit_slots (
    name text NOT NULL,
    execution_id uuid NOT NULL,
    attempt integer NOT NULL,
    PRIMARY KEY (name, execution_id)
) WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    vacuum_truncate = off
);

-- The limits that one execution falls under; part is paused, concurrency or rate.
CREATE FUNCTION {schema}.limits_on(for_task text, for_queue text, keys jsonb)
RETURNS TABLE (
    name text, part text, most integer, interval_s double precision, burst integer
)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $body$
WITH said AS (
    SELECT
        coalesce(keys ->> p.part, for_task) AS name, p.part, NULL::timestamptz AS paused_at,
        coalesce(l.declared, '{}') || coalesce(l.given, '{}') || coalesce(k.given, '{}') AS rule
    FROM {schema}.limits AS l
    CROSS JOIN (VALUES ('concurrency'), ('rate')) AS p (part)
    LEFT JOIN {schema}.limits AS k ON k.name = keys ->> p.part AND k.kind = 'key'
    WHERE l.name = for_task
        AND l.kind = 'task'
    UNION ALL
    SELECT l.name, p.part, l.paused_at, coalesce(l.given, '{}')
    FROM {schema}.limits AS l
    CROSS JOIN (VALUES ('paused'), ('concurrency'), ('rate')) AS p (part)
    WHERE l.name = 'queue:' || for_queue
        AND l.kind = 'queue'
)
SELECT
    said.name, said.part, (said.rule ->> 'max_concurrency')::integer,
    (said.rule ->> 'interval_s')::double precision, (said.rule ->> 'burst')::integer
FROM said
WHERE CASE said.part
    WHEN 'paused' THEN said.paused_at IS NOT NULL
    WHEN 'concurrency' THEN said.rule ->> 'max_concurrency' IS NOT NULL
    ELSE said.rule ->> 'interval_s' IS NOT NULL
END
$body$;

-- Attempts that hold a slot of a name now.
CREATE FUNCTION {schema}.live_slots(of_name text) RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT count(*)
FROM {schema}.limit_slots AS s
CROSS JOIN LATERAL (
    SELECT x.status, x.attempt
    FROM {schema}.executions AS x
    WHERE x.id = s.execution_id
    OFFSET 0
) AS e
WHERE s.name = of_name
    AND e.status = 'running'
    AND e.attempt = s.attempt
$body$;

-- Start attempts for those of the queued executions that every limit on them admits, in the order of
-- the ids given. For each id: the columns of claim.sql with the slots it holds, or which limit keeps
-- it (blocked_by, part) and for how many seconds at least, as far as that is known.
--
-- Locks are taken in this order: the worker, names by name, executions by id.
CREATE FUNCTION {schema}.claim_limited(
    of_worker uuid, with_token uuid, wanted uuid[], is_solo boolean
)
RETURNS TABLE (
    id text, attempt integer, claim_token text, task text, queue text, priority text, request text,
    uncounted integer, max_attempts integer, crashes smallint, alone boolean,
    timeout_s double precision, user_id text, tags text[], parent_id text, fingerprint text,
    created_at timestamptz, traceparent text, slots text[], blocked_by text, part text, wait_s double precision
)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $body$
#variable_conflict use_column
DECLARE
    names text[];
    moment timestamptz;
    live jsonb;
    used jsonb;
    spent jsonb := '{}';
    row_ record;
    rule record;
    free_at double precision;
    instant double precision;
    held text[];
    blocker text;
    blocking text;
    blocked_for double precision;
    won_ids uuid[] := '{}';
    taken jsonb := '{}';
BEGIN
    PERFORM
    FROM {schema}.workers AS w
    WHERE w.id = of_worker
        AND NOT w.lost
        AND w.stopped_at IS NULL
    FOR KEY SHARE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    names := ARRAY(
        SELECT DISTINCT l.name
        FROM unnest(wanted) AS w (id)
        CROSS JOIN LATERAL (
            SELECT x.task, x.queue, x.limit_keys
            FROM {schema}.executions AS x
            WHERE x.id = w.id
            OFFSET 0
        ) AS e
        CROSS JOIN LATERAL {schema}.limits_on(e.task, e.queue, e.limit_keys) AS l
        WHERE l.part <> 'paused'
        ORDER BY l.name
    );
    INSERT INTO {schema}.limit_states AS s (name)
    SELECT n.name
    FROM unnest(names) WITH ORDINALITY AS n (name, place)
    ORDER BY n.place
    ON CONFLICT ON CONSTRAINT limit_states_pkey DO NOTHING;
    PERFORM
    FROM {schema}.limit_states AS s
    WHERE s.name = ANY (names)
    ORDER BY s.name
    FOR UPDATE;
    PERFORM
    FROM unnest(ARRAY(SELECT w.id FROM unnest(wanted) AS w (id) ORDER BY w.id)) AS w (id)
    CROSS JOIN LATERAL (
        SELECT x.id
        FROM {schema}.executions AS x
        WHERE x.id = w.id
        OFFSET 0
        FOR UPDATE
    ) AS e;

    -- Here the snapshot is younger than the locks.
    moment := clock_timestamp();
    instant := extract(epoch FROM moment);
    DELETE FROM {schema}.limit_slots AS s
    WHERE s.name = ANY (names)
        AND NOT EXISTS (
            SELECT
            FROM {schema}.executions AS x
            WHERE x.id = s.execution_id
                AND x.status = 'running'
                AND x.attempt = s.attempt
        );
    -- What ran before a limit came, or was being claimed when it did, counts too.
    IF EXISTS (
        SELECT FROM {schema}.limits AS l WHERE l.changed_at > moment - interval '30 seconds'
    ) THEN
        INSERT INTO {schema}.limit_slots AS s (name, execution_id, attempt)
        SELECT DISTINCT l.name, x.id, x.attempt
        FROM {schema}.executions AS x
        CROSS JOIN LATERAL {schema}.limits_on(x.task, x.queue, x.limit_keys) AS l
        WHERE x.status = 'running'
            AND l.part = 'concurrency'
            AND l.name = ANY (names)
        ON CONFLICT ON CONSTRAINT limit_slots_pkey DO NOTHING;
    END IF;
    SELECT
        coalesce(jsonb_object_agg(s.name, (
            SELECT count(*) FROM {schema}.limit_slots AS t WHERE t.name = s.name
        )), '{}'),
        coalesce(jsonb_object_agg(s.name, extract(epoch FROM s.used_until)), '{}')
    INTO live, used
    FROM {schema}.limit_states AS s
    WHERE s.name = ANY (names);

    FOR row_ IN
        SELECT e.*
        FROM unnest(wanted) WITH ORDINALITY AS w (id, n)
        CROSS JOIN LATERAL (
            SELECT x.id, x.task, x.queue, x.limit_keys, x.status, x.alone, x.expires_at
            FROM {schema}.executions AS x
            WHERE x.id = w.id
            OFFSET 0
        ) AS e
        WHERE e.status = 'queued'
            AND e.alone = is_solo
            AND (e.expires_at IS NULL OR e.expires_at > moment)
        ORDER BY w.n
    LOOP
        held := '{}';
        blocker := NULL;
        spent := '{}';
        FOR rule IN
            SELECT l.*
            FROM {schema}.limits_on(row_.task, row_.queue, row_.limit_keys) AS l
            ORDER BY l.part = 'paused' DESC, l.part, l.name
        LOOP
            IF rule.part = 'rate' THEN
                free_at := greatest(coalesce((used ->> rule.name)::double precision, 0), instant);
                blocked_for := free_at - (rule.burst - 1) * rule.interval_s - instant;
                -- A microsecond: what floats lose of an epoch must not make a wait.
                IF blocked_for > 0.000001 THEN
                    blocker := rule.name;
                    blocking := rule.part;
                END IF;
                spent := spent || jsonb_build_object(rule.name, free_at + rule.interval_s);
            ELSIF rule.part = 'paused'
                OR coalesce((live ->> rule.name)::integer, 0) >= rule.most THEN
                blocker := rule.name;
                blocking := rule.part;
                blocked_for := 0;
            ELSE
                held := held || rule.name;
            END IF;
            EXIT WHEN blocker IS NOT NULL;
        END LOOP;
        IF blocker IS NOT NULL THEN
            RETURN QUERY SELECT
                row_.id::text, NULL::integer, NULL::text, NULL::text, NULL::text, NULL::text,
                NULL::text, NULL::integer, NULL::integer, NULL::smallint, NULL::boolean,
                NULL::double precision, NULL::text, NULL::text[], NULL::text, NULL::text,
                NULL::timestamptz, NULL::text, NULL::text[], blocker, blocking, blocked_for;
            CONTINUE;
        END IF;
        won_ids := won_ids || row_.id;
        used := used || spent;
        taken := taken || jsonb_build_object(row_.id::text, to_jsonb(held));
        SELECT live || coalesce(
            jsonb_object_agg(h.name, coalesce((live ->> h.name)::integer, 0) + 1), '{}'
        )
        INTO live
        FROM unnest(held) AS h (name);
    END LOOP;

    UPDATE {schema}.limit_states AS s
    SET used_until = to_timestamp((used ->> s.name)::double precision)
    WHERE s.name = ANY (names)
        AND used ->> s.name IS NOT NULL;
    RETURN QUERY
    WITH started AS (
        UPDATE {schema}.executions AS x
        SET status = 'running',
            attempt = x.attempt + 1,
            claim_token = with_token,
            worker_id = of_worker,
            started_at = moment,
            reason = NULL,
            progress = NULL,
            progress_message = NULL
        FROM unnest(won_ids) AS w (id)
        WHERE x.id = w.id
        RETURNING x.*
    ),
    noted AS (
        INSERT INTO {schema}.limit_slots AS s (name, execution_id, attempt)
        SELECT h.name, started.id, started.attempt
        FROM started
        CROSS JOIN LATERAL jsonb_array_elements_text(taken -> started.id::text) AS h (name)
        ON CONFLICT ON CONSTRAINT limit_slots_pkey DO UPDATE SET attempt = excluded.attempt
    )
    SELECT
        t.id::text, t.attempt, t.claim_token::text, t.task, t.queue, t.priority, t.request::text,
        t.uncounted, t.max_attempts, t.crashes, t.alone, t.timeout_s, t.user_id, t.tags,
        t.parent_id::text, t.fingerprint, t.created_at, t.traceparent,
        ARRAY(SELECT jsonb_array_elements_text(taken -> t.id::text)),
        NULL::text, NULL::text, NULL::double precision
    FROM started AS t;
END
$body$;
