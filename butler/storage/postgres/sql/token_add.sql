-- Add a token, unless one that is not revoked has its name. Repeated after a lost reply, it finds
-- itself.
WITH added AS (
    INSERT INTO {schema}.api_tokens
        (id, name, digest, role, queues, tags, created_by, created_at, expires_at)
    VALUES (
        %(id)s::uuid, %(name)s, %(digest)s, %(role)s, %(queues)s::text[], %(tags)s::text[],
        %(created_by)s, now(), %(expires_at)s::timestamptz
    )
    ON CONFLICT DO NOTHING
    RETURNING id
)
SELECT id::text FROM added
UNION ALL
SELECT t.id::text
FROM {schema}.api_tokens AS t
WHERE t.id = %(id)s::uuid
