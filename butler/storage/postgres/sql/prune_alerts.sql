-- Remove what has long been resolved, and silences that ended then, if the caller leads.
WITH leads AS (
    SELECT l.epoch
    FROM {schema}.leadership AS l
    WHERE l.epoch = %(epoch)s::bigint
        AND l.holder IS NOT NULL
), alerts AS (
    DELETE FROM {schema}.alerts AS a
    WHERE a.resolved_at < now() - %(kept)s::interval
        AND EXISTS (SELECT FROM leads)
    RETURNING a.id
), silences AS (
    DELETE FROM {schema}.alert_silences AS s
    WHERE s.ends_at < now() - %(kept)s::interval
        AND EXISTS (SELECT FROM leads)
    RETURNING s.id
)
SELECT (SELECT count(*) FROM alerts) + (SELECT count(*) FROM silences)
