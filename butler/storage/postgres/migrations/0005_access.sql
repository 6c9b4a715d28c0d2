-- Who may use the REST API, what was changed through it, and replies that are kept for a day.
--
-- Of a token only the SHA-256 is here: it is 256 random bits, so no slow hash is needed. A name is
-- free again once its token is revoked.

CREATE TABLE {schema}.api_tokens (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    digest text NOT NULL,
    role text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    queues text[] NOT NULL,
    tags text[] NOT NULL,
    created_by text,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
);

-- For token_of.sql.
CREATE UNIQUE INDEX api_tokens_digest ON {schema}.api_tokens (digest);

-- For token_add.sql.
CREATE UNIQUE INDEX api_tokens_name ON {schema}.api_tokens (name) WHERE revoked_at IS NULL;

-- Ids are UUIDv7, so the primary key is the order of time.
CREATE TABLE {schema}.audit_log (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    role text NOT NULL,
    action text NOT NULL,
    target text,
    status smallint NOT NULL,
    address text,
    request_id text,
    reason text,
    details jsonb NOT NULL
);

-- For audit_find.sql: what happened to one thing.
CREATE INDEX audit_log_target ON {schema}.audit_log (target, id) WHERE target IS NOT NULL;

-- For prune_access.sql.
CREATE INDEX audit_log_at ON {schema}.audit_log (at);

CREATE TABLE {schema}.idempotency_keys (
    key text PRIMARY KEY,
    fingerprint text NOT NULL,
    owner uuid NOT NULL,
    seed uuid NOT NULL,
    status smallint,
    body text,
    created_at timestamptz NOT NULL,
    taken_at timestamptz NOT NULL
);

-- For prune_access.sql.
CREATE INDEX idempotency_keys_created ON {schema}.idempotency_keys (created_at);

-- For find.sql: what ended badly, newest first, over all tasks or of one. Entered only by what fails
-- or is cancelled, so a success pays nothing for it.
CREATE INDEX executions_ended_badly ON {schema}.executions (task, id)
WHERE status IN ('failed', 'cancelled');

CREATE INDEX executions_bad ON {schema}.executions (id)
WHERE status IN ('failed', 'cancelled');

-- For find.sql: the executions on behalf of one user.
CREATE INDEX executions_user ON {schema}.executions (user_id, id)
WHERE user_id IS NOT NULL;
