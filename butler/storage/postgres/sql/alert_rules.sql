-- The rules that were made or changed, by name.
SELECT r.name, r.version, r.body
FROM {schema}.alert_rules AS r
ORDER BY r.name
