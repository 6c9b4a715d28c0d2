-- Add a silence; one that is there already is the same one, sent again.
INSERT INTO {schema}.alert_silences (id, rule, subject, starts_at, ends_at, reason, created_by)
VALUES (
    %(id)s::uuid, %(rule)s, %(subject)s, %(starts_at)s::timestamptz, %(ends_at)s::timestamptz,
    %(reason)s, %(created_by)s
)
ON CONFLICT (id) DO NOTHING
