-- Remove jobs; the record of their fires goes with recurring_delete_fires.sql.
WITH locked AS MATERIALIZED (
    SELECT j.id
    FROM unnest(%(ids)s::uuid[]) AS wanted (id)
    CROSS JOIN LATERAL (
        SELECT x.id
        FROM {schema}.recurring_jobs AS x
        WHERE x.id = wanted.id
        OFFSET 0
        FOR UPDATE
    ) AS j
)
DELETE FROM {schema}.recurring_jobs AS j
USING locked
WHERE j.id = locked.id
RETURNING j.id::text
