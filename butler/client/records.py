"""The API's executions as the library's own records (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from butler.changes import ExecutionChange
from butler.client.asks import as_model
from butler.executions import Attempt, ErrorRecord, Execution, Progress
from butler.storage.logs import LogLine, first_id
from butler.storage.records import Page
from butler.web.models.executions import ExecutionDetail, ExecutionPage, ExecutionSummary

if TYPE_CHECKING:
    from butler.client.steps import Answer
    from butler.web.models.executions import ShownChange, ShownError, ShownLine

# What the two have under the same name, and as the same type.
_SAME = (
    "id", "task", "status", "queue", "priority", "request", "attempt", "max_attempts",
    "timeout_s", "user_id", "unique_key", "parent_id", "rerun_of", "worker_id", "reason",
    "run_at", "created_at", "queued_at", "started_at", "finished_at", "cancel_requested_at",
    "expires_at",
)  # fmt: skip


def read_execution(answer: Answer) -> Execution:
    """All of one execution."""
    return execution_of(as_model(ExecutionDetail)(answer))


def read_page(answer: Answer) -> Page:
    """A page of executions, without results, crashes and attempts."""
    page = as_model(ExecutionPage)(answer)
    return Page(
        executions=tuple(execution_of(each) for each in page.executions),
        next_cursor=page.next_cursor,
        truncated=page.truncated,
    )


def execution_of(shown: ExecutionSummary) -> Execution:
    """An execution as `Butler.get` and `Butler.list` return it."""
    fields: dict[str, Any] = {name: getattr(shown, name) for name in _SAME}
    detail = shown if isinstance(shown, ExecutionDetail) else None
    progress = shown.progress
    return Execution(
        **fields,
        result=detail.result if detail else None,
        crashes=detail.crashes if detail else 0,
        error=_error_of(shown.error),
        uncounted=shown.attempt - shown.attempts_used,
        progress=None
        if progress is None
        else Progress(percent=progress.percent, message=progress.message),
        tags=tuple(shown.tags),
        attempts=tuple(
            Attempt(
                number=each.number,
                outcome=each.outcome,
                counted=each.counted,
                worker_id=each.worker_id,
                started_at=each.started_at,
                finished_at=each.finished_at,
                error=_error_of(each.error),
            )
            for each in (detail.attempts if detail else ())
        ),
    )


def change_of(shown: ShownChange) -> ExecutionChange:
    """A step of a live stream."""
    return ExecutionChange(
        kind=shown.kind,
        execution_id=shown.execution_id,
        status=shown.status,
        attempt=shown.attempt,
        percent=shown.percent,
        message=shown.message,
        at=shown.at,
        line=None if shown.line is None else line_of(shown.line, shown.execution_id),
    )


def line_of(shown: ShownLine, execution_id: str) -> LogLine:
    """A line that an execution has logged."""
    return LogLine(
        execution_id=execution_id,
        attempt=shown.attempt,
        number=shown.id - first_id(shown.attempt),
        at=shown.at,
        level=shown.level,
        logger=shown.logger,
        message=shown.message,
        cut=shown.cut,
    )


def _error_of(shown: ShownError | None) -> ErrorRecord | None:
    if shown is None:
        return None
    return ErrorRecord(
        type=shown.type,
        message=shown.message,
        traceback=shown.traceback,
        details=tuple(shown.details),
    )
