-- End a token, once.
UPDATE {schema}.api_tokens AS t
SET revoked_at = now()
WHERE t.id = %(id)s::uuid
    AND t.revoked_at IS NULL
