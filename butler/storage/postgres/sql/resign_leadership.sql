-- Leave the place empty, if it is still held.
UPDATE {schema}.leadership AS l
SET holder = NULL
WHERE l.holder = %(holder)s::text
    AND l.epoch = %(epoch)s::bigint
