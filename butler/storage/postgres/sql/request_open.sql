-- Begin a request that may be sent again: returns a row if it is ours to do, by being new, by having
-- been begun and left by somebody who died, or by being forgotten after a day.
INSERT INTO {schema}.idempotency_keys AS k
    (key, fingerprint, owner, seed, created_at, taken_at)
VALUES (%(key)s, %(fingerprint)s, %(owner)s::uuid, %(seed)s::uuid, now(), now())
ON CONFLICT (key) DO UPDATE
SET
    owner = excluded.owner,
    taken_at = now(),
    seed = CASE WHEN k.created_at < now() - %(kept)s::interval THEN excluded.seed ELSE k.seed END,
    fingerprint = excluded.fingerprint,
    status = NULL,
    body = NULL,
    created_at = CASE
        WHEN k.created_at < now() - %(kept)s::interval THEN now()
        ELSE k.created_at
    END
WHERE k.owner = excluded.owner
    OR k.created_at < now() - %(kept)s::interval
    OR (
        k.status IS NULL
        AND k.fingerprint = excluded.fingerprint
        AND k.taken_at < now() - %(taken_over_after)s::interval
    )
RETURNING k.owner::text, k.fingerprint, k.seed::text, k.status, k.body
