-- Forget the lines of attempts that are old by now, of executions that were attempted very often.
--
-- Not part of write_logs.sql, which is prepared: a plan that was made while the table was small
-- would read all of it for each execution.
DELETE FROM {schema}.execution_logs AS l
USING unnest(%(executions)s::uuid[], %(before)s::bigint[]) AS t (id, before)
WHERE l.execution_id = t.id
    AND l.id < t.before
