"""The JSON forms of what the commands print."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from butler.executions import Attempt, Execution
    from butler.limiting import LimitRule
    from butler.storage.limits import LimitRow, Prospect
    from butler.storage.logs import LogLine
    from butler.storage.records import ExecutionEvent, TaskDefinition, WorkerRow
    from butler.trees import ExecutionTree


def execution_form(execution: Execution) -> dict[str, Any]:
    """An execution without its attempts."""
    error, progress = execution.error, execution.progress
    return {
        "id": execution.id,
        "task": execution.task,
        "status": str(execution.status),
        "queue": execution.queue,
        "priority": str(execution.priority),
        "request": execution.request,
        "result": execution.result,
        "error": None if error is None else error.to_json(),
        "attempt": execution.attempt,
        "attempts_used": execution.attempts_used,
        "max_attempts": execution.max_attempts,
        "crashes": execution.crashes,
        "timeout_s": execution.timeout_s,
        "progress": None if progress is None else asdict(progress),
        "tags": list(execution.tags),
        "user_id": execution.user_id,
        "unique_key": execution.unique_key,
        "parent_id": execution.parent_id,
        "rerun_of": execution.rerun_of,
        "worker_id": execution.worker_id,
        "cancel_requested_at": time_form(execution.cancel_requested_at),
        "run_at": time_form(execution.run_at),
        "created_at": time_form(execution.created_at),
        "queued_at": time_form(execution.queued_at),
        "started_at": time_form(execution.started_at),
        "finished_at": time_form(execution.finished_at),
    }


def wait_form(prospect: Prospect) -> dict[str, Any]:
    """A limit that keeps an execution from starting."""
    return {
        "limit": prospect.limit,
        "part": prospect.part,
        "wait_s": prospect.wait_s,
        "held_by": list(prospect.held_by),
    }


def attempt_form(attempt: Attempt) -> dict[str, Any]:
    """One attempt that is over."""
    return {
        "number": attempt.number,
        "outcome": str(attempt.outcome),
        "counted": attempt.counted,
        "worker_id": attempt.worker_id,
        "started_at": time_form(attempt.started_at),
        "finished_at": time_form(attempt.finished_at),
        "error": None if attempt.error is None else attempt.error.to_json(),
    }


def event_form(event: ExecutionEvent) -> dict[str, Any]:
    """One line of an execution's history."""
    return {
        "attempt": event.attempt,
        "kind": event.kind,
        "at": time_form(event.at),
        "percent": event.percent,
        "message": event.message,
    }


def line_form(line: LogLine) -> dict[str, Any]:
    """One line that a task has logged."""
    return {
        "id": line.id,
        "attempt": line.attempt,
        "at": time_form(line.at),
        "level": line.level,
        "logger": line.logger,
        "message": line.message,
        "cut": line.cut,
    }


def tree_form(tree: ExecutionTree) -> dict[str, Any]:
    """An execution with all that came of it."""
    return {
        "id": tree.id,
        "task": tree.task,
        "status": str(tree.status),
        "attempt": tree.attempt,
        "progress": None if tree.progress is None else asdict(tree.progress),
        "children": [tree_form(child) for child in tree.children],
        "cut": tree.cut,
    }


def worker_form(worker: WorkerRow) -> dict[str, Any]:
    """A worker, with its state."""
    form = asdict(worker)
    for name in ("started_at", "heartbeat_at", "stopped_at"):
        form[name] = time_form(form[name])
    return {**form, "state": worker_state(worker)}


def worker_state(worker: WorkerRow) -> str:
    """``alive``, ``stopped`` in good order, or ``lost``."""
    return worker.state


def limit_form(row: LimitRow, *, waiting: int = 0) -> dict[str, Any]:
    """A limit: what holds, who said it, and how it stands."""
    return {
        "name": row.name,
        "kind": row.kind,
        **rule_form(row.rule),
        "declared": None if row.declared is None else rule_form(row.declared),
        "given": None if row.given is None else rule_form(row.given),
        "paused_at": time_form(row.paused_at),
        "running": row.running,
        "waiting": waiting,
    }


def rule_form(rule: LimitRule) -> dict[str, Any]:
    """What is allowed under a name; null where anything is."""
    return {
        "max_concurrency": rule.max_concurrency,
        "rate": None if rule.rate is None else rule.rate.text,
        "rate_burst": None if rule.rate is None else rule.rate.burst,
    }


def task_form(task: TaskDefinition) -> dict[str, Any]:
    """A task's definition with its schemas."""
    return asdict(task)


def time_form(moment: datetime | None) -> str | None:
    """A time as ISO 8601, in UTC."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
