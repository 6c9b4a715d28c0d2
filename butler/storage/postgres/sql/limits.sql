-- Every rule, and every key whose slots are held, with how many hold one.
WITH names AS (
    SELECT l.name FROM {schema}.limits AS l
    UNION
    SELECT s.name FROM {schema}.limit_slots AS s
)
SELECT
    n.name, coalesce(l.kind, 'key'), l.declared, l.given, l.paused_at, live.running::integer
FROM names AS n
LEFT JOIN {schema}.limits AS l ON l.name = n.name
CROSS JOIN LATERAL (SELECT {schema}.live_slots(n.name) AS running) AS live
WHERE l.name IS NOT NULL
    OR live.running > 0
ORDER BY n.name
