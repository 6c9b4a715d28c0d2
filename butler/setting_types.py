"""What single settings may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from butler.durations import LONGEST_DAYS
from butler.queue_names import DEFAULT_QUEUE, check_queue_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from butler.task_spec import TaskSpec

# In place of names: the queues of all tasks of the application.
EVERY_QUEUE = "*"

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["console", "json"]
CaptureLevel = Literal["debug", "info", "warning", "error", "off"]


def _joined_queues(value: object) -> str:
    """``a, b`` or a list, as ``a,b``, each name checked; or `EVERY_QUEUE` alone."""
    if value == EVERY_QUEUE:
        return EVERY_QUEUE
    names = [str(name) for name in value] if isinstance(value, list) else str(value).split(",")
    return ",".join(check_queue_name(name.strip()) for name in names)


QueueNames = Annotated[str, BeforeValidator(_joined_queues)]


def queues_to_serve(queues: str, tasks: Iterable[TaskSpec]) -> tuple[str, ...]:
    """The setting `queues`, one by one; for ``*`` the default one, then those of these tasks."""
    if queues != EVERY_QUEUE:
        return tuple(queues.split(","))
    others = {task.options.queue for task in tasks} - {DEFAULT_QUEUE}
    return (DEFAULT_QUEUE, *sorted(others))


def retention_of(state: str) -> Any:
    """How long executions that ended so are kept, where that is said."""
    text = f"how long {state} ones are kept, if not `retention_days`"
    return Field(None, gt=0, le=LONGEST_DAYS, description=text)
