-- Note what code says of its tasks' limits; a task without any says null. What did not change is not
-- written, and what an operator said stays.
INSERT INTO {schema}.limits AS l (name, kind, declared, changed_at)
SELECT t.name, 'task', t.rule::jsonb, now()
FROM unnest(%(names)s::text[], %(rules)s::text[]) AS t (name, rule)
WHERE t.rule IS NOT NULL
    OR EXISTS (SELECT FROM {schema}.limits AS known WHERE known.name = t.name)
ORDER BY t.name
ON CONFLICT (name) DO UPDATE
SET kind = 'task',
    declared = excluded.declared,
    changed_at = now()
WHERE l.declared IS DISTINCT FROM excluded.declared
    OR l.kind <> 'task'
