-- Note under which limits' names queued executions fall, where no producer could tell. What one has
-- named stays. Rows are locked in the order of the ids given (sorted).
WITH made AS MATERIALIZED (
    SELECT e.id, m.keys
    FROM unnest(
        %(ids)s::uuid[], %(keys)s::text[], %(fingerprints)s::text[]
    ) AS m (id, keys, fingerprint)
    CROSS JOIN LATERAL (
        SELECT x.id, x.status, x.limit_keys, x.fingerprint
        FROM {schema}.executions AS x
        WHERE x.id = m.id
        OFFSET 0
        FOR UPDATE
    ) AS e
    WHERE e.status = 'queued'
        AND NOT coalesce(e.limit_keys, '{}') ? 'computed'
        AND coalesce(e.fingerprint, m.fingerprint) IS NOT DISTINCT FROM
            coalesce(m.fingerprint, e.fingerprint)
)
UPDATE {schema}.executions AS e
SET limit_keys = made.keys::jsonb || coalesce(e.limit_keys, '{}')
FROM made
WHERE e.id = made.id
