-- Put a rule in the place of one at this version (0: none).
INSERT INTO {schema}.alert_rules AS r (name, version, body)
SELECT %(name)s, 1, %(body)s::jsonb
WHERE %(version)s::integer = 0
    OR EXISTS (SELECT FROM {schema}.alert_rules AS k WHERE k.name = %(name)s)
ON CONFLICT (name) DO UPDATE
SET version = r.version + 1,
    body = excluded.body
WHERE r.version = %(version)s::integer
RETURNING r.version
