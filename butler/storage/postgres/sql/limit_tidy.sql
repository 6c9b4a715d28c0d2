-- Forget rules that say nothing any more: claim.sql looks at each.
DELETE FROM {schema}.limits AS l
WHERE l.declared IS NULL
    AND l.given IS NULL
    AND l.paused_at IS NULL
