-- What each limit on these queued executions would say now, without a lock: a row a limit, its room,
-- the seconds until it has some (rates), and who holds its slots. Slots are counted once a name.
WITH asked AS MATERIALIZED (
    SELECT e.id, l.name, l.part, l.most, l.interval_s, l.burst
    FROM unnest(%(ids)s::uuid[]) AS wanted (id)
    CROSS JOIN LATERAL (
        SELECT x.id, x.task, x.queue, x.limit_keys, x.status
        FROM {schema}.executions AS x
        WHERE x.id = wanted.id
        OFFSET 0
    ) AS e
    CROSS JOIN LATERAL {schema}.limits_on(e.task, e.queue, e.limit_keys) AS l
    WHERE e.status = 'queued'
        AND l.part <> 'keys'
),
held AS MATERIALIZED (
    SELECT
        n.name, count(*) AS live,
        (array_agg(s.execution_id::text ORDER BY s.execution_id))[1:10] AS by
    FROM (SELECT DISTINCT a.name FROM asked AS a WHERE a.part = 'concurrency') AS n
    JOIN {schema}.limit_slots AS s ON s.name = n.name
    CROSS JOIN LATERAL (
        SELECT x.status, x.attempt
        FROM {schema}.executions AS x
        WHERE x.id = s.execution_id
        OFFSET 0
    ) AS e
    WHERE e.status = 'running'
        AND e.attempt = s.attempt
    GROUP BY n.name
)
SELECT
    a.id::text, a.name, a.part, a.most,
    CASE a.part
        WHEN 'paused' THEN 0
        WHEN 'concurrency' THEN greatest(a.most - coalesce(held.live, 0), 0)
        ELSE greatest(floor(((a.burst * a.interval_s) - used.ahead_s) / a.interval_s + 0.000001), 0)
    END::integer,
    CASE WHEN a.part = 'rate' THEN greatest(used.ahead_s - (a.burst - 1) * a.interval_s, 0) END,
    CASE WHEN a.part = 'concurrency' THEN coalesce(held.by, '{}') ELSE '{}' END
FROM asked AS a
LEFT JOIN held ON held.name = a.name
LEFT JOIN {schema}.limit_states AS st ON st.name = a.name
CROSS JOIN LATERAL (
    SELECT greatest(extract(epoch FROM st.used_until - clock_timestamp()), 0) AS ahead_s
) AS used
ORDER BY a.id, a.part = 'paused' DESC, a.part, a.name
