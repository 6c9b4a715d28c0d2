-- Silences that have not ended, soonest end first.
SELECT s.id::text, s.rule, s.subject, s.starts_at, s.ends_at, s.reason, s.created_by
FROM {schema}.alert_silences AS s
WHERE s.ends_at > now()
ORDER BY s.ends_at, s.id
