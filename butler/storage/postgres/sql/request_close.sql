-- Keep the reply to a request that this owner began.
UPDATE {schema}.idempotency_keys AS k
SET
    status = %(status)s::smallint,
    body = %(body)s
WHERE k.key = %(key)s
    AND k.owner = %(owner)s::uuid
