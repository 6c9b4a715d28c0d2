-- Which ledger this is and in which database, as enqueue_within compares it.
SELECT {schema}.ledger_place()
