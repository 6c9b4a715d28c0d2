-- Whether a table is so small that a plan made for it would not do when it has grown; a row for
-- each. See grow_tables.sql.
SELECT c.relname::text
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s::text
    AND c.relname IN ('executions', 'unique_keys')
    AND pg_relation_size(c.oid) < 64 * current_setting('block_size')::bigint
