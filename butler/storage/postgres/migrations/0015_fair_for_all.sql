-- Turns and limits for what is not enqueued by code: by butler.enqueue(...) and by recurring jobs.
--
-- Safe while workers of the release before run: what they write has no keys, as before.
--
-- enqueue takes a concurrency_key and a fair_key. Where none is given, the key of a task with fair_by
-- is read from the request: workers announce where it stands there ("fair_path", or "fair_queues" for
-- what an application says of whole queues). What only a function can tell has to be given, or has no
-- key. The function is that of migration 0011 with these. As there, the old one goes, or a call of
-- either would be ambiguous; the new arguments come last, so that a call by position means the same.
--
-- A recurring job has its fair key in its row: code made it when the job was saved, like the unique
-- key. Rejected: reading the request at each fire, which the scheduler spares itself, and which would
-- still know nothing of functions.

ALTER TABLE {schema}.recurring_jobs ADD COLUMN fair_key text;

-- Jobs there are, of tasks that name a field.
UPDATE {schema}.recurring_jobs AS j
SET fair_key = j.request #>> string_to_array(t.options ->> 'fair_by', '.')
FROM {schema}.task_definitions AS t
WHERE t.name = j.task
    AND char_length(j.request #>> string_to_array(t.options ->> 'fair_by', '.')) BETWEEN 1 AND 500;

DROP FUNCTION {schema}.enqueue(
    text, jsonb, text, text, timestamptz, double precision, timestamptz, text, boolean,
    integer, double precision, text, text[], uuid, boolean, double precision, uuid, text, text
);

-- Enqueue one execution in the present transaction; returns its id, or that of the unfinished
-- execution that holds the unique key. Made to be called by hand and by every driver:
--
--     SELECT butler.enqueue('Send Email', '{"to": "a@b.c"}');
--     SELECT butler.enqueue(task => 'Send Email', request => $1, delay_s => 60);
--
-- Each option that is left out is the task's own, as its workers announced it. fingerprint marks
-- the caller as code that has the task: then nothing is looked up, NULL means none, and limit_keys
-- are what it made of the request. An error is raised, and with it the transaction is over, as with
-- any statement.
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
    traceparent text DEFAULT NULL,
    concurrency_key text DEFAULT NULL,
    fair_key text DEFAULT NULL,
    limit_keys jsonb DEFAULT NULL
) RETURNS uuid
LANGUAGE plpgsql VOLATILE
AS $body$
#variable_conflict use_variable
DECLARE
    known record;
    made uuid := coalesce(id, {schema}.new_id());
    placed uuid;
    fair_path jsonb;
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
        ELSIF concurrency_key IS NOT NULL
            AND known.options #>> '{limit,max_concurrency}' IS NULL
        THEN
            problem := 'concurrency_key needs max_concurrency, and the task has none: it says for'
                || ' what that holds';
        END IF;
        task := known.name;
        queue := coalesce(queue, known.options ->> 'queue');
        priority := coalesce(priority, known.options ->> 'priority');
        max_attempts := coalesce(max_attempts, (known.options ->> 'max_attempts')::integer);
        timeout_s := coalesce(timeout_s, (known.options ->> 'timeout_s')::double precision);
        unique_key := coalesce(unique_key, known.options ->> 'unique_key');
        fingerprint := known.fingerprint;
        fair_path := coalesce(known.options -> 'fair_path', known.options -> 'fair_queues' -> queue);
        IF fair_key IS NULL AND fair_path IS NOT NULL THEN
            fair_key := request #>> ARRAY(
                SELECT step.name
                FROM jsonb_array_elements_text(fair_path) WITH ORDINALITY AS step (name, n)
                ORDER BY step.n
            );
        END IF;
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
        WHEN char_length(concurrency_key) NOT BETWEEN 1 AND 500
            THEN 'concurrency_key must have 1 to 500 characters, got '
                || char_length(concurrency_key)
        WHEN starts_with(concurrency_key, 'queue:')
            THEN 'concurrency_key must not begin with "queue:", got '
                || quote_literal(concurrency_key)
        WHEN char_length(fair_key) NOT BETWEEN 1 AND 500
            THEN 'fair_key must have 1 to 500 characters, got ' || char_length(fair_key)
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
            'traceparent', traceparent, 'limit_keys', nullif(
                coalesce(limit_keys, '{}')
                || jsonb_strip_nulls(
                    jsonb_build_object('concurrency', concurrency_key, 'fair', fair_key)
                ),
                '{}'
            )
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
