-- The trace in which an execution was enqueued, as W3C's traceparent has it: NULL where nobody traces.
ALTER TABLE {schema}.executions ADD COLUMN traceparent text;
