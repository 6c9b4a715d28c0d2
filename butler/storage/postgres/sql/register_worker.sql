-- Add a worker; repeating it changes nothing, and revives nobody.
INSERT INTO {schema}.workers (
    id, name, host, pid, supervisor_id, queues, tasks, concurrency, solo, started_at, heartbeat_at
)
VALUES (
    %(id)s::uuid, %(name)s::text, %(host)s::text, %(pid)s::integer, %(supervisor_id)s::text,
    %(queues)s::text[], %(tasks)s::text[], %(concurrency)s::integer, %(solo)s::boolean, now(), now()
)
ON CONFLICT (id) DO NOTHING
