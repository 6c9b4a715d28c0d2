"""What single settings may be."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from butler.durations import LONGEST_DAYS
from butler.queue_names import check_queue_name

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["console", "json"]
CaptureLevel = Literal["debug", "info", "warning", "error", "off"]


def _joined_queues(value: object) -> str:
    """``a, b`` or a list, as ``a,b``; each name is checked."""
    names = [str(name) for name in value] if isinstance(value, list) else str(value).split(",")
    return ",".join(check_queue_name(name.strip()) for name in names)


QueueNames = Annotated[str, BeforeValidator(_joined_queues)]


def retention_of(state: str) -> Any:
    """How long executions that ended so are kept, where that is said."""
    text = f"how long {state} ones are kept, if not `retention_days`"
    return Field(None, gt=0, le=LONGEST_DAYS, description=text)
