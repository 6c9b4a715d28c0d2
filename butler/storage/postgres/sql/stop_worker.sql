-- A worker ended in good order.
UPDATE {schema}.workers AS w
SET stopped_at = now()
WHERE w.id = %(id)s::uuid
    AND NOT w.lost
    AND w.stopped_at IS NULL
