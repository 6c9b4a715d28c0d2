-- The id this ledger was given by its first migration.
SELECT m.value
FROM {schema}.meta AS m
WHERE m.key = 'ledger_id'
