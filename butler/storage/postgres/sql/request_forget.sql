-- A request that this owner began came to nothing: it may be sent again.
DELETE FROM {schema}.idempotency_keys AS k
WHERE k.key = %(key)s
    AND k.owner = %(owner)s::uuid
