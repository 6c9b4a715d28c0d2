-- Recurring jobs and what became of each of their fire times.
--
-- unfinished lists executions of a job that were not over when it was last looked at: the overlap
-- policy asks for them by primary key, and no index on executions is needed. due_at is when a
-- scheduler has to look: the next fire time plus the job's share of jitter, NULL while it is paused
-- or over. Each fire writes a new version of the row, so there is room for some on its page.

CREATE TABLE {schema}.recurring_jobs (
    id uuid PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    task text NOT NULL,
    request jsonb,
    schedule jsonb NOT NULL,
    enabled boolean NOT NULL,
    misfire text NOT NULL CHECK (misfire IN ('fire_once', 'skip', 'catch_up')),
    misfire_grace_s double precision NOT NULL,
    catch_up_limit integer NOT NULL,
    overlap text NOT NULL CHECK (overlap IN ('skip', 'allow', 'queue', 'cancel_running')),
    max_concurrency integer NOT NULL,
    jitter_s double precision NOT NULL,
    starts_at timestamptz,
    ends_at timestamptz,
    max_fires integer,
    queue text,
    priority text CHECK (priority IN ('high', 'normal', 'low')),
    max_attempts integer,
    timeout_s double precision,
    tags text[] NOT NULL,
    description text NOT NULL,
    owner text,
    source text,
    unique_key text,
    fingerprint text,
    version integer NOT NULL DEFAULT 1,
    change_id uuid NOT NULL,
    fires bigint NOT NULL DEFAULT 0,
    next_fire_at timestamptz,
    due_at timestamptz,
    last_fire_at timestamptz,
    broken_reason text,
    unfinished uuid[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
) WITH (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.02,
    autovacuum_analyze_threshold = 500
);

-- For recurring_get.sql and recurring_find.sql; in code point order, whatever the database's.
CREATE UNIQUE INDEX recurring_jobs_name ON {schema}.recurring_jobs (name);

-- For recurring_pulse.sql and recurring_due.sql.
CREATE INDEX recurring_jobs_due ON {schema}.recurring_jobs (due_at, id)
WHERE due_at IS NOT NULL;

-- One row a fire time, the promise that each fires at most once; or one for a run of consecutive
-- ones that were missed (count), under the first.
CREATE TABLE {schema}.recurring_fires (
    job_id uuid NOT NULL,
    fire_at timestamptz NOT NULL,
    outcome text NOT NULL CHECK (
        outcome IN ('fired', 'waiting', 'skipped', 'missed', 'broken')
    ),
    manual boolean NOT NULL,
    count integer NOT NULL,
    reason text,
    execution_id uuid,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (job_id, fire_at)
) WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000
);

-- For recurring_pulse.sql, recurring_due.sql and recurring_waiting.sql; nearly always empty.
CREATE INDEX recurring_fires_waiting ON {schema}.recurring_fires (job_id, fire_at)
WHERE outcome = 'waiting';

-- For prune_fires.sql.
CREATE INDEX recurring_fires_recorded ON {schema}.recurring_fires (recorded_at);
