-- Who leads now.
SELECT l.holder, l.epoch, l.counter
FROM {schema}.leadership AS l
