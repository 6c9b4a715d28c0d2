-- Mark a worker lost if its counter still stands where it was observed.
--
-- FOR UPDATE waits for claims that hold the row with KEY SHARE (claim.sql) and makes later ones see
-- the loss; the plain UPDATE of a column that is no key would let them pass.
WITH observed AS MATERIALIZED (
    SELECT w.id
    FROM {schema}.workers AS w
    WHERE w.id = %(id)s::uuid
        AND (w.lost OR %(counter)s::bigint IS NULL OR w.counter = %(counter)s::bigint)
    FOR UPDATE
)
UPDATE {schema}.workers AS w
SET lost = true,
    lost_at = coalesce(w.lost_at, now())
FROM observed
WHERE w.id = observed.id
RETURNING w.lost
