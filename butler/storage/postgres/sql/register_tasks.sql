-- Insert or replace definitions; in name order, or two workers that start would deadlock.
INSERT INTO {schema}.task_definitions (
    name, description, tags, request_schema, result_schema, options, fingerprint, app, seen_at
)
SELECT
    t.name, t.description, t.tags::text[], t.request_schema::jsonb, t.result_schema::jsonb,
    t.options::jsonb, t.fingerprint, t.app, now()
FROM unnest(
    %(names)s::text[], %(descriptions)s::text[], %(tags)s::text[], %(request_schemas)s::text[],
    %(result_schemas)s::text[], %(options)s::text[], %(fingerprints)s::text[], %(apps)s::text[]
) AS t (name, description, tags, request_schema, result_schema, options, fingerprint, app)
ORDER BY t.name
ON CONFLICT (name) DO UPDATE
SET description = excluded.description,
    tags = excluded.tags,
    request_schema = excluded.request_schema,
    result_schema = excluded.result_schema,
    options = excluded.options,
    fingerprint = excluded.fingerprint,
    app = excluded.app,
    seen_at = excluded.seen_at
