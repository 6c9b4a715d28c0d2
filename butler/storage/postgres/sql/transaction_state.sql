-- How a transaction stands: in progress, committed, aborted, or NULL when that is forgotten.
SELECT pg_xact_status(%(id)s::text::xid8)
