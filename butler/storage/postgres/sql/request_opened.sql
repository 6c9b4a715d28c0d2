-- How a request stands that somebody else has begun.
SELECT k.owner::text, k.fingerprint, k.seed::text, k.status, k.body
FROM {schema}.idempotency_keys AS k
WHERE k.key = %(key)s
