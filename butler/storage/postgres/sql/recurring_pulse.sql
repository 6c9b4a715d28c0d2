-- The ledger's clock, seconds until a job is due, and whether any fire waits; for floor see
-- stage.sql. Never prepared: its plan must not outlive an empty table.
SELECT
    now(),
    (
        SELECT extract(epoch FROM j.due_at - now())::double precision
        FROM {schema}.recurring_jobs AS j
        WHERE j.due_at >= coalesce(%(floor)s::timestamptz, '-infinity')
        ORDER BY j.due_at
        LIMIT 1
    ),
    EXISTS (
        SELECT
        FROM {schema}.recurring_fires AS f
        WHERE f.outcome = 'waiting'
    )
