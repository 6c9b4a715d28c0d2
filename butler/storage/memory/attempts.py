"""Attempts in the memory ledger: how they begin, report and end.

Each function decides one item of a batch, under the lock of `MemoryStorage`. All are fenced by
``(id, attempt, claim token)``.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from butler import lifecycle
from butler.executions import (
    TERMINAL,
    Attempt,
    AttemptOutcome,
    ErrorRecord,
    ExecutionStatus,
    Progress,
)
from butler.storage.memory.rows import EndedAttempt
from butler.storage.records import Claimed, ExecutionEvent, Finished, Refused
from butler.storage.values import clean_text, transition_refusal

if TYPE_CHECKING:
    from datetime import datetime

    from butler.lifecycle import Transition
    from butler.storage.memory.limits import LimitTable
    from butler.storage.memory.rows import Row, RowTable
    from butler.storage.records import Claim, ProgressReport

_S = ExecutionStatus


def claim_one(
    rows: RowTable, limits: LimitTable, claim: Claim, *, execution_id: str, now: datetime
) -> Claimed | Refused:
    """Start the next attempt of one execution, or say why not."""
    row = rows.get(execution_id)
    if row is None:
        return Refused(id=execution_id, status=None, alone=False)
    if row.runs_as(row.attempt, claim.token) and row.worker_id == claim.worker_id:
        return row.to_claimed()
    if row.status is _S.QUEUED and row.expired(now):
        entry = rows.expire(row, now=now)
        return Refused(id=execution_id, status=row.status, alone=False, expired=entry)
    if row.status is not _S.QUEUED or row.alone != claim.solo:
        only_solo = row.status is _S.QUEUED and row.alone
        return Refused(id=execution_id, status=row.status, alone=only_solo)
    wait = limits.admit(row, now=now.timestamp())
    if wait is not None:
        return Refused(id=execution_id, status=row.status, alone=False, wait=wait)
    rows.move(row, _S.RUNNING)
    row.attempt += 1
    row.claim_token = claim.token
    row.worker_id = claim.worker_id
    row.started_at = now
    row.reason = None
    row.progress = None
    return replace(row.to_claimed(), slots=limits.slots(row))


def finish_one(rows: RowTable, transition: Transition, *, now: datetime) -> Finished:
    """End one attempt, recognise an end that was already written, or change nothing."""
    row = rows.get(transition.execution_id)
    if row is None:
        return Finished(id=transition.execution_id, applied=False, status=None, entry=None)
    refusal = transition_refusal(transition)
    if row.runs_as(transition.attempt, transition.claim_token):
        ending = transition if refusal is None else _failed_alone(row, transition, refusal=refusal)
        _end(rows, row, transition=ending, now=now)
        applied = True
    else:
        # Whoever gave the attempt up wrote another outcome: its zombie is not taken for it.
        mine = transition.outcome if refusal is None else AttemptOutcome.FAILED
        applied = row.outcome_of(transition.attempt, transition.claim_token) is mine
    return Finished(
        id=row.id,
        applied=applied,
        status=row.status,
        entry=None if row.status is _S.SUCCEEDED else row.to_entry(),
        rejected=refusal if applied else None,
    )


def report_one(row: Row, report: ProgressReport, *, now: datetime, cap: int) -> None:
    """Write the progress of a running attempt; its history holds the first ``cap`` reports."""
    message = clean_text(report.message)
    row.progress = Progress(percent=report.percent, message=message)
    if not report.record or len(row.events) >= cap:
        return
    event = ExecutionEvent(
        execution_id=row.id,
        attempt=report.attempt,
        kind="progress",
        at=now,
        percent=report.percent,
        message=message,
    )
    row.events.append(event)


def _failed_alone(row: Row, transition: Transition, *, refusal: str) -> Transition:
    what = "result" if transition.outcome is AttemptOutcome.SUCCEEDED else "outcome"
    message = f"the work ran, its {what} could not be stored: {refusal}"
    return lifecycle.fail(row, error=ErrorRecord(type="ResultNotStorable", message=message))


def _end(rows: RowTable, row: Row, *, transition: Transition, now: datetime) -> None:
    """Apply a transition that passed its fence."""
    status = transition.status
    if row.cancel_requested_at is not None and status is not _S.SUCCEEDED:
        status = _S.CANCELLED
    rows.tally.attempt_ended(row, transition=transition, status=status, now=now)
    error = json.dumps(transition.error.to_json()) if transition.error else None
    if transition.outcome is not AttemptOutcome.SUCCEEDED:
        row.ended.append(_record(row, transition=transition, error=error, now=now))
    rows.move(row, status)
    row.uncounted += 0 if transition.counted else 1
    row.crashes = transition.crashes
    row.alone = transition.alone
    row.error = error
    if transition.traceparent is not None and status is not _S.SUCCEEDED:
        row.new = replace(row.new, traceparent=transition.traceparent)
    if status in TERMINAL:
        row.finished_at = now
        row.result = transition.result if status is _S.SUCCEEDED else None
        return
    row.reason = transition.reason
    row.worker_id = None
    row.started_at = None
    row.run_at = now
    if status is _S.QUEUED:
        row.queued_at = now
    else:
        row.run_at += timedelta(seconds=transition.delay_s)


def _record(row: Row, *, transition: Transition, error: str | None, now: datetime) -> EndedAttempt:
    attempt = Attempt(
        number=row.attempt,
        outcome=transition.outcome,
        counted=transition.counted,
        worker_id=row.worker_id,
        started_at=row.started_at,
        finished_at=now,
        error=ErrorRecord.from_json(None if error is None else json.loads(error)),
    )
    return EndedAttempt(attempt=attempt, claim_token=row.claim_token)
