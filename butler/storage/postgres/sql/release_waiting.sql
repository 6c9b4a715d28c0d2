-- Make due what waits for a worker that knows one of these tasks.
--
-- Such a wait is seconds long, so an hour's worth of the due index is read and not the millions of
-- executions that may be scheduled after it. Rows that somebody holds are moving anyway.
WITH waiting AS MATERIALIZED (
    SELECT e.id
    FROM {schema}.executions AS e
    WHERE e.status = 'scheduled'
        AND e.run_at > now()
        AND e.run_at < now() + interval '1 hour'
        AND e.reason = ANY (%(reasons)s::text[])
        AND e.task = ANY (%(tasks)s::text[])
    ORDER BY e.id
    FOR UPDATE SKIP LOCKED
)
UPDATE {schema}.executions AS e
SET run_at = now()
FROM waiting
WHERE e.id = waiting.id
    AND e.status = 'scheduled'
