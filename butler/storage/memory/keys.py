"""Unique keys in the memory ledger: what an insert does that meets a holder."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from butler.executions import ExecutionStatus
from butler.lifecycle import REPLACEABLE
from butler.storage.records import Inserted

if TYPE_CHECKING:
    from datetime import datetime

    from butler.storage.memory.rows import Row, RowTable
    from butler.storage.records import NewExecution

_S = ExecutionStatus


def due_at(new: NewExecution, *, now: datetime) -> datetime:
    """When a new execution is to run."""
    return new.run_at or now + timedelta(seconds=new.delay_s or 0)


def take_over(rows: RowTable, holder: Row, new: NewExecution, *, now: datetime) -> Inserted:
    """Let a waiting holder do what the new execution was to do; else only say who holds the key."""
    if not new.replace or holder.status not in REPLACEABLE:
        return Inserted(id=holder.id, created=False, status=holder.status)
    left = holder.to_entry() if holder.status is _S.QUEUED else None
    _adopt(holder, new)
    holder.run_at = due_at(new, now=now)
    holder.reason = None
    if holder.run_at <= now and not new.unpushed:
        if holder.status is not _S.QUEUED:
            rows.move(holder, _S.QUEUED)
        holder.queued_at = now
    elif holder.status is _S.QUEUED:
        rows.move(holder, _S.SCHEDULED)
    entry = holder.to_entry() if holder.status is _S.QUEUED else None
    return Inserted(
        id=holder.id, created=False, status=holder.status, replaced=True, left=left, entry=entry
    )


def _adopt(holder: Row, new: NewExecution) -> None:
    """What is replaced; the identity, its history and where it came from stay."""
    holder.new = replace(
        new, id=holder.id, parent_id=holder.new.parent_id, rerun_of=holder.new.rerun_of
    )
    holder.max_attempts = max(new.max_attempts, holder.attempts_used + 1)
    holder.expires_at = new.expires_at
