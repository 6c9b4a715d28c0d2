-- Add entries to the audit log; one that is there already is the same one, sent again.
INSERT INTO {schema}.audit_log
    (id, at, actor, role, action, target, status, address, request_id, reason, details)
SELECT
    e.id, clock_timestamp(), e.actor, e.role, e.action, e.target, e.status, e.address, e.request_id,
    e.reason, e.details::jsonb
FROM unnest(
    %(ids)s::uuid[], %(actors)s::text[], %(roles)s::text[], %(actions)s::text[],
    %(targets)s::text[], %(statuses)s::smallint[], %(addresses)s::text[], %(request_ids)s::text[],
    %(reasons)s::text[], %(details)s::text[]
) AS e (
    id, actor, role, action, target, status, address, request_id, reason, details
)
ON CONFLICT (id) DO NOTHING
