"""Typed, durable background tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from butler import errors as errors
    from butler.aio import AsyncButler as AsyncButler
    from butler.aio import AsyncHandle as AsyncHandle
    from butler.app import Butler as Butler
    from butler.changes import ExecutionChange as ExecutionChange
    from butler.context import TaskContext as TaskContext
    from butler.context import current_context as current_context
    from butler.executions import Execution as Execution
    from butler.executions import ExecutionStatus as ExecutionStatus
    from butler.executions import Priority as Priority
    from butler.function_tasks import task as task
    from butler.handles import Handle as Handle
    from butler.injection.markers import Provide as Provide
    from butler.results import TaskResult as TaskResult
    from butler.retries import RetryPolicy as RetryPolicy
    from butler.schedules import Cron as Cron
    from butler.schedules import Interval as Interval
    from butler.schedules import Once as Once
    from butler.tasks import Task as Task
    from butler.tasks import TaskLike as TaskLike
    from butler.version import __version__ as __version__

# Where each public name lives. Loaded at first use, because every process of an application
# imports butler, also those that never enqueue.
_HOMES = {
    "AsyncButler": "butler.aio",
    "AsyncHandle": "butler.aio",
    "Butler": "butler.app",
    "Cron": "butler.schedules",
    "Execution": "butler.executions",
    "ExecutionChange": "butler.changes",
    "ExecutionStatus": "butler.executions",
    "Handle": "butler.handles",
    "Interval": "butler.schedules",
    "Once": "butler.schedules",
    "Priority": "butler.executions",
    "Provide": "butler.injection.markers",
    "RetryPolicy": "butler.retries",
    "Task": "butler.tasks",
    "TaskContext": "butler.context",
    "TaskLike": "butler.tasks",
    "TaskResult": "butler.results",
    "__version__": "butler.version",
    "current_context": "butler.context",
    "task": "butler.function_tasks",
}

__all__ = [
    "AsyncButler",
    "AsyncHandle",
    "Butler",
    "Cron",
    "Execution",
    "ExecutionChange",
    "ExecutionStatus",
    "Handle",
    "Interval",
    "Once",
    "Priority",
    "Provide",
    "RetryPolicy",
    "Task",
    "TaskContext",
    "TaskLike",
    "TaskResult",
    "__version__",
    "current_context",
    "errors",
    "task",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "errors":
        return import_module("butler.errors")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'butler' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
