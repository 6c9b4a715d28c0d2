"""How a ledger and its servers do: checks, each with a level, a reason and a remedy."""
