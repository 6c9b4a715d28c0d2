-- Remove what is over of the audit log and of kept replies, if the caller leads.
WITH leads AS (
    SELECT l.epoch
    FROM {schema}.leadership AS l
    WHERE l.epoch = %(epoch)s::bigint
        AND l.holder IS NOT NULL
), entries AS (
    DELETE FROM {schema}.audit_log AS a
    WHERE a.at < now() - %(audit_kept)s::interval
        AND EXISTS (SELECT FROM leads)
    RETURNING a.id
), replies AS (
    DELETE FROM {schema}.idempotency_keys AS k
    WHERE k.created_at < now() - %(replies_kept)s::interval
        AND EXISTS (SELECT FROM leads)
    RETURNING k.key
)
SELECT (SELECT count(*) FROM entries) + (SELECT count(*) FROM replies)
