-- The token with this digest, if it is good now.
SELECT
    t.id::text, t.name, t.role, t.queues, t.tags, t.created_by, t.created_at, t.expires_at,
    t.revoked_at, t.last_used_at
FROM {schema}.api_tokens AS t
WHERE t.digest = %(digest)s
    AND t.revoked_at IS NULL
    AND (t.expires_at IS NULL OR t.expires_at > now())
