-- Raise the leader's counter, if it still leads.
UPDATE {schema}.leadership AS l
SET counter = l.counter + 1
WHERE l.holder = %(holder)s::text
    AND l.epoch = %(epoch)s::bigint
RETURNING l.counter
