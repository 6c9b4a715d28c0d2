-- A worker ended in good order.
--
-- FOR UPDATE, as in lose_worker.sql: a claim that its process sent before it died may still be on its
-- way, and whoever looks for what runs under its id afterwards must see it.
WITH ended AS MATERIALIZED (
    SELECT w.id
    FROM {schema}.workers AS w
    WHERE w.id = %(id)s::uuid
        AND NOT w.lost
        AND w.stopped_at IS NULL
    FOR UPDATE
)
UPDATE {schema}.workers AS w
SET stopped_at = now()
FROM ended
WHERE w.id = ended.id
