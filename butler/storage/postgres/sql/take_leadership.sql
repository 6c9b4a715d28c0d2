-- Lead, if nothing moved since leadership was observed.
UPDATE {schema}.leadership AS l
SET holder = %(holder)s::text,
    epoch = l.epoch + 1,
    counter = 0
WHERE l.holder IS NOT DISTINCT FROM %(observed_holder)s::text
    AND l.epoch = %(observed_epoch)s::bigint
    AND l.counter = %(observed_counter)s::bigint
RETURNING l.epoch
