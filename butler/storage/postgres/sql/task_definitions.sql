-- Every known definition, by name in code point order.
SELECT
    t.name, t.description, t.tags, t.request_schema, t.result_schema, t.options, t.fingerprint,
    t.app
FROM {schema}.task_definitions AS t
ORDER BY t.name COLLATE "C"
