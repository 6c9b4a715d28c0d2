-- Whether any token is good now.
SELECT EXISTS (
    SELECT
    FROM {schema}.api_tokens AS t
    WHERE t.revoked_at IS NULL
        AND (t.expires_at IS NULL OR t.expires_at > now())
)
