-- What tasks have logged.
--
-- The id holds attempt and number, see butler/storage/logs.py: lines come in the order of the
-- primary key, and those of an old attempt are one range of it. They go with their execution.

CREATE TABLE {schema}.execution_logs (
    execution_id uuid NOT NULL REFERENCES {schema}.executions ON DELETE CASCADE,
    id bigint NOT NULL,
    attempt integer NOT NULL,
    at timestamptz NOT NULL,
    level smallint NOT NULL,
    logger text NOT NULL,
    message text NOT NULL,
    cut boolean NOT NULL,
    PRIMARY KEY (execution_id, id)
) WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000
);
