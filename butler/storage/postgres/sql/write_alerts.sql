-- Open and change alerts, if the caller leads. One that was acknowledged meanwhile stays so, and what
-- is resolved changes no more but for the messages it still owes.
INSERT INTO {schema}.alerts AS a
    (id, rule, subject, state, resolved_at, pending, body)
SELECT n.id, n.rule, n.subject, n.state, n.resolved_at, n.pending, n.body::jsonb
FROM unnest(
    %(ids)s::uuid[], %(rules)s::text[], %(subjects)s::text[], %(states)s::text[],
    %(resolved)s::timestamptz[], %(pending)s::boolean[], %(bodies)s::text[]
) AS n (id, rule, subject, state, resolved_at, pending, body)
WHERE EXISTS (
        SELECT
        FROM {schema}.leadership AS l
        WHERE l.epoch = %(epoch)s::bigint
            AND l.holder IS NOT NULL
    )
    AND NOT EXISTS (
        SELECT
        FROM {schema}.alerts AS o
        WHERE o.rule = n.rule
            AND o.subject = n.subject
            AND o.state <> 'resolved'
            AND o.id <> n.id
    )
ON CONFLICT (id) DO UPDATE
SET state = CASE
        WHEN a.state = 'resolved' OR excluded.state = 'resolved' THEN 'resolved'
        WHEN a.state = 'acknowledged' THEN a.state
        ELSE excluded.state
    END,
    resolved_at = coalesce(a.resolved_at, excluded.resolved_at),
    pending = excluded.pending,
    body = CASE
        WHEN a.state = 'resolved' THEN jsonb_set(a.body, ARRAY['outbox'], excluded.body -> 'outbox')
        ELSE excluded.body
    END
RETURNING
    a.id::text, a.state, a.acknowledged_at, a.acknowledged_by, a.resolved_at, a.body
