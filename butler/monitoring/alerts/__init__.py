"""Alerts: rules that are held against the ledger, what they found, and who is told."""
