-- Note that tokens are used; in the order of their ids, so that two processes cannot deadlock.
WITH used AS MATERIALIZED (
    SELECT t.id
    FROM {schema}.api_tokens AS t
    WHERE t.id = ANY (%(ids)s::uuid[])
    ORDER BY t.id
    FOR UPDATE
)
UPDATE {schema}.api_tokens AS t
SET last_used_at = now()
FROM used
WHERE t.id = used.id
