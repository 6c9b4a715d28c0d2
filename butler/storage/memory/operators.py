"""Operators' moves in the memory ledger: cancel, retry, delete.

Each function decides one item of a batch, under the lock of `MemoryStorage`. What an execution's
state does not allow is reported and changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from butler.executions import ExecutionStatus
from butler.lifecycle import CANCELLABLE, DELETABLE, RETRYABLE
from butler.storage.records import Moved
from butler.storage.stats import Ending

if TYPE_CHECKING:
    from datetime import datetime

    from butler.storage.memory.rows import Row, RowTable
    from butler.storage.memory.workers import WorkerTable

_S = ExecutionStatus


def cancel_one(rows: RowTable, workers: WorkerTable, execution_id: str, *, now: datetime) -> Moved:
    """End an execution that waits, ask one that runs to end."""
    row = rows.get(execution_id)
    if row is None or row.status not in CANCELLABLE:
        return _unmoved(execution_id, row)
    before = row.status
    if before is _S.RUNNING:
        row.cancel_requested_at = row.cancel_requested_at or now
    else:
        rows.move(row, _S.CANCELLED)
        row.cancel_requested_at = now
        row.finished_at = now
        row.reason = None
        rows.tally.never_started(row, ending=Ending.WITHDRAWN, now=now)
    return Moved(
        id=row.id,
        changed=True,
        before=before,
        after=row.status,
        entry=row.to_entry(),
        worker_name=workers.name(row.worker_id),
    )


def retry_one(rows: RowTable, execution_id: str, *, now: datetime) -> Moved:
    """Open a failed or cancelled execution again, unless another one holds its unique key now."""
    row = rows.get(execution_id)
    if row is None or row.status not in RETRYABLE or rows.holder(row.new) is not None:
        return _unmoved(execution_id, row)
    before = row.status
    rows.move(row, _S.QUEUED)
    row.max_attempts = max(row.max_attempts, row.attempts_used + 1)
    row.crashes = 0
    row.alone = False
    row.error = None
    row.reason = None
    row.progress = None
    row.worker_id = None
    row.cancel_requested_at = None
    row.started_at = None
    row.finished_at = None
    row.run_at = now
    row.queued_at = now
    if row.expired(now):
        row.expires_at = None
    return Moved(id=row.id, changed=True, before=before, after=row.status, entry=row.to_entry())


def delete_one(rows: RowTable, execution_id: str) -> Moved:
    """Forget a finished execution."""
    row = rows.get(execution_id)
    if row is None or row.status not in DELETABLE:
        return _unmoved(execution_id, row)
    rows.remove(row)
    return Moved(id=row.id, changed=True, before=row.status, after=None, entry=row.to_entry())


def _unmoved(execution_id: str, row: Row | None) -> Moved:
    status = None if row is None else row.status
    entry = None if row is None else row.to_entry()
    return Moved(id=execution_id, changed=False, before=status, after=status, entry=entry)
