-- Remove a rule.
DELETE FROM {schema}.alert_rules AS r
WHERE r.name = %(name)s
RETURNING r.name
