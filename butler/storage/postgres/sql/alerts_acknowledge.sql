-- Mark an open alert as seen.
UPDATE {schema}.alerts AS a
SET state = 'acknowledged',
    acknowledged_at = now(),
    acknowledged_by = %(by)s::text
WHERE a.id = %(id)s::uuid
    AND a.state = 'open'
