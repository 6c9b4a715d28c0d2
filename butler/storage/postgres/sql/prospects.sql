-- What each limit on these queued executions would say now, without a lock: a row a limit, its room,
-- the seconds until it has some (rates), and who holds its slots.
SELECT
    e.id::text, l.name, l.part, l.most,
    CASE l.part
        WHEN 'paused' THEN 0
        WHEN 'concurrency' THEN greatest(l.most - {schema}.live_slots(l.name), 0)
        ELSE greatest(floor(((l.burst * l.interval_s) - used.ahead_s) / l.interval_s + 0.000001), 0)
    END::integer,
    CASE WHEN l.part = 'rate' THEN greatest(used.ahead_s - (l.burst - 1) * l.interval_s, 0) END,
    CASE WHEN l.part = 'concurrency' THEN ARRAY(
        SELECT s.execution_id::text
        FROM {schema}.limit_slots AS s
        CROSS JOIN LATERAL (
            SELECT x.status, x.attempt
            FROM {schema}.executions AS x
            WHERE x.id = s.execution_id
            OFFSET 0
        ) AS h
        WHERE s.name = l.name
            AND h.status = 'running'
            AND h.attempt = s.attempt
        ORDER BY s.execution_id
        LIMIT 10
    ) ELSE '{}' END
FROM unnest(%(ids)s::uuid[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT x.id, x.task, x.queue, x.limit_keys, x.status
    FROM {schema}.executions AS x
    WHERE x.id = wanted.id
    OFFSET 0
) AS e
CROSS JOIN LATERAL {schema}.limits_on(e.task, e.queue, e.limit_keys) AS l
LEFT JOIN {schema}.limit_states AS st ON st.name = l.name
CROSS JOIN LATERAL (
    SELECT greatest(extract(epoch FROM st.used_until - clock_timestamp()), 0) AS ahead_s
) AS used
WHERE e.status = 'queued'
ORDER BY e.id, l.part = 'paused' DESC, l.part, l.name
