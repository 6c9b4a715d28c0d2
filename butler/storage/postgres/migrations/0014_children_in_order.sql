-- A page of one parent's children: without the id in the index all of them were read and sorted.
DROP INDEX {schema}.executions_parent;

CREATE INDEX executions_parent ON {schema}.executions (parent_id, id)
WHERE parent_id IS NOT NULL;
