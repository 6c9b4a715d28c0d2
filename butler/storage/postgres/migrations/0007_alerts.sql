-- Alerts, the rules that were made or changed (the built-in ones stand in the code), and silences.
--
-- What is asked for has columns, the rest of an alert or rule is its body: both have fields that only
-- people read, and more will come.

CREATE TABLE {schema}.alerts (
    id uuid PRIMARY KEY,
    rule text NOT NULL,
    subject text NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'acknowledged', 'resolved')),
    acknowledged_at timestamptz,
    acknowledged_by text,
    resolved_at timestamptz,
    pending boolean NOT NULL,
    body jsonb NOT NULL
);

-- For write_alerts.sql: one unresolved alert of each rule and subject.
CREATE UNIQUE INDEX alerts_unresolved ON {schema}.alerts (rule, subject)
WHERE state <> 'resolved';

-- For alerts_unsettled.sql, asked every second.
CREATE INDEX alerts_unsettled ON {schema}.alerts (id)
WHERE state <> 'resolved' OR pending;

CREATE TABLE {schema}.alert_rules (
    name text COLLATE "C" PRIMARY KEY,
    version integer NOT NULL,
    body jsonb NOT NULL
);

CREATE TABLE {schema}.alert_silences (
    id uuid PRIMARY KEY,
    rule text NOT NULL,
    subject text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    reason text NOT NULL,
    created_by text
);

-- For picture_jobs.sql, asked every few seconds.
CREATE INDEX recurring_jobs_broken ON {schema}.recurring_jobs (id)
WHERE broken_reason IS NOT NULL;
