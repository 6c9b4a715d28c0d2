-- Who holds these keys: no row, or a NULL status, where the holder ended or went meanwhile.
SELECT k.task, k.key, k.execution_id::text, e.status
FROM unnest(%(tasks)s::text[], %(keys)s::text[]) AS wanted (task, key)
JOIN {schema}.unique_keys AS k ON k.task = wanted.task AND k.key = wanted.key
LEFT JOIN {schema}.executions AS e ON e.id = k.execution_id
