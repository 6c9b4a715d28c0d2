-- All tokens, by name, the present one of a name before those that were revoked.
SELECT
    t.id::text, t.name, t.role, t.queues, t.tags, t.created_by, t.created_at, t.expires_at,
    t.revoked_at, t.last_used_at
FROM {schema}.api_tokens AS t
ORDER BY t.name COLLATE "C", t.revoked_at DESC NULLS FIRST, t.id
