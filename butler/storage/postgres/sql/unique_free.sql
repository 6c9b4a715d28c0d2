-- Take keys from executions that are over or gone. The statement that ends an execution frees its
-- key; this is for what a repeated insert left that raced its own first try.
DELETE FROM {schema}.unique_keys AS k
WHERE k.execution_id = ANY (%(ids)s::uuid[])
    AND NOT EXISTS (
        SELECT
        FROM {schema}.executions AS e
        WHERE e.id = k.execution_id
            AND e.status NOT IN ('succeeded', 'failed', 'cancelled')
    )
