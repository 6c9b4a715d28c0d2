-- The ledger: executions with their history, unique keys, tasks, workers, leadership.
--
-- Status and priority are text with a CHECK: readable in psql and cheap enough. fillfactor leaves
-- room for the next versions of a row (each execution is updated at least twice) on its own page.
-- Autovacuum comes early, because a queue is mostly dead rows. It must not give pages back at the end
-- of the tables that hot statements read: see sql/grow_tables.sql.

CREATE TABLE {schema}.executions (
    id uuid PRIMARY KEY,
    task text NOT NULL,
    queue text NOT NULL,
    priority text NOT NULL CHECK (priority IN ('high', 'normal', 'low')),
    status text NOT NULL CHECK (
        status IN ('scheduled', 'queued', 'running', 'retrying', 'succeeded', 'failed', 'cancelled')
    ),
    request jsonb,
    result jsonb,
    error jsonb,
    attempt integer NOT NULL DEFAULT 0,
    uncounted integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL,
    crashes smallint NOT NULL DEFAULT 0,
    alone boolean NOT NULL DEFAULT false,
    worker_id uuid,
    claim_token uuid,
    timeout_s double precision,
    user_id text,
    tags text[] NOT NULL DEFAULT '{}',
    unique_key text,
    parent_id uuid,
    rerun_of uuid,
    fingerprint text,
    reason text,
    progress double precision,
    progress_message text,
    events_recorded integer NOT NULL DEFAULT 0,
    cancel_requested_at timestamptz,
    run_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    queued_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz
) WITH (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.02,
    autovacuum_analyze_threshold = 500,
    vacuum_truncate = off
);

-- For stage.sql, next_due.sql and release_waiting.sql.
CREATE INDEX executions_due ON {schema}.executions (run_at)
WHERE status IN ('scheduled', 'retrying');

-- For queued.sql, the reconciler's walk. Never for the claim: see claim.sql.
CREATE INDEX executions_queued ON {schema}.executions (queued_at, id)
WHERE status = 'queued';

-- For running.sql, heartbeat.sql, pulses.sql and workers.sql.
CREATE INDEX executions_running ON {schema}.executions (worker_id)
WHERE status = 'running';

-- For find.sql: the children of an execution.
CREATE INDEX executions_parent ON {schema}.executions (parent_id)
WHERE parent_id IS NOT NULL;

-- Attempts that are over; a success has none, it is the execution's row itself. The claim token
-- tells a repeated finish from a stranger's.
CREATE TABLE {schema}.execution_attempts (
    execution_id uuid NOT NULL,
    attempt integer NOT NULL,
    claim_token uuid NOT NULL,
    outcome text NOT NULL,
    counted boolean NOT NULL,
    worker_id uuid,
    started_at timestamptz,
    finished_at timestamptz NOT NULL,
    error jsonb,
    PRIMARY KEY (execution_id, attempt)
);

CREATE TABLE {schema}.execution_events (
    execution_id uuid NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    attempt integer NOT NULL,
    kind text NOT NULL,
    at timestamptz NOT NULL,
    percent double precision,
    message text,
    PRIMARY KEY (execution_id, id)
);

-- Which unfinished execution holds a key; the statement that ends the execution deletes the row.
CREATE TABLE {schema}.unique_keys (
    task text NOT NULL,
    key text NOT NULL,
    execution_id uuid NOT NULL,
    PRIMARY KEY (task, key)
) WITH (vacuum_truncate = off);

CREATE TABLE {schema}.task_definitions (
    name text PRIMARY KEY,
    description text NOT NULL,
    tags text[] NOT NULL,
    request_schema jsonb NOT NULL,
    result_schema jsonb NOT NULL,
    options jsonb NOT NULL,
    fingerprint text NOT NULL,
    app text NOT NULL,
    seen_at timestamptz NOT NULL
);

-- fillfactor: each heartbeat writes a new version of the row, in place while there is room.
CREATE TABLE {schema}.workers (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    supervisor_id text NOT NULL,
    queues text[] NOT NULL,
    tasks text[] NOT NULL,
    concurrency integer NOT NULL,
    solo boolean NOT NULL,
    counter bigint NOT NULL DEFAULT 0,
    lost boolean NOT NULL DEFAULT false,
    started_at timestamptz NOT NULL,
    heartbeat_at timestamptz NOT NULL,
    lost_at timestamptz,
    stopped_at timestamptz
) WITH (fillfactor = 50);

-- One row: who leads, in which epoch, and the counter that shows it lives.
CREATE TABLE {schema}.leadership (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    holder text,
    epoch bigint NOT NULL DEFAULT 0,
    counter bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

INSERT INTO {schema}.leadership DEFAULT VALUES;

CREATE TABLE {schema}.meta (
    key text PRIMARY KEY,
    value text NOT NULL
);

INSERT INTO {schema}.meta (key, value) VALUES ('ledger_id', gen_random_uuid()::text);
