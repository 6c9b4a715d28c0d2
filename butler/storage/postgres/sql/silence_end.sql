-- Let a silence end sooner.
UPDATE {schema}.alert_silences AS s
SET ends_at = %(at)s::timestamptz
WHERE s.id = %(id)s::uuid
    AND s.ends_at > %(at)s::timestamptz
RETURNING s.id::text
