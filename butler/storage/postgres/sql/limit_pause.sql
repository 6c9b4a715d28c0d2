-- Pause a queue, or let it go on.
INSERT INTO {schema}.limits AS l (name, kind, paused_at, changed_at)
VALUES (%(name)s::text, 'queue', CASE WHEN %(paused)s::boolean THEN now() END, now())
ON CONFLICT (name) DO UPDATE
SET paused_at = CASE WHEN %(paused)s::boolean THEN coalesce(l.paused_at, now()) END,
    changed_at = now()
