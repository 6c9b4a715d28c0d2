-- The ledger's clock.
SELECT clock_timestamp()
