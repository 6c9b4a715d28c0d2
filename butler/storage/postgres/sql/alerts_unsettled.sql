-- Alerts that are not resolved, or whose messages are not all delivered; oldest first.
SELECT
    a.id::text, a.state, a.acknowledged_at, a.acknowledged_by, a.resolved_at, a.body
FROM {schema}.alerts AS a
WHERE a.state <> 'resolved' OR a.pending
ORDER BY a.id
