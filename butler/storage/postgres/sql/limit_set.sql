-- Say what an operator allows for a name; a null rule takes back what was said.
INSERT INTO {schema}.limits AS l (name, kind, given, changed_at)
VALUES (
    %(name)s::text,
    CASE
        WHEN starts_with(%(name)s::text, 'queue:') THEN 'queue'
        WHEN EXISTS (SELECT FROM {schema}.task_definitions AS t WHERE t.name = %(name)s::text)
            THEN 'task'
        ELSE 'key'
    END,
    %(rule)s::jsonb, now()
)
ON CONFLICT (name) DO UPDATE
SET given = excluded.given,
    changed_at = now()
