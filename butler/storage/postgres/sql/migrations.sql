-- Which migrations were applied.
SELECT m.number, m.name, m.checksum
FROM {schema}.migrations AS m
ORDER BY m.number
