"""Runs what the ledger holds, and ends."""

from tasks import butler

with butler.worker():
    for execution in butler.list().executions:
        print(butler.handle(execution.id).result(timeout_s=30))
