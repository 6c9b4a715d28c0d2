"""How the commands' log lines look: for people, or one JSON object a line for programs.

Each line tells the worker that wrote it, and within a task the execution, its attempt and its
trace. Butler's own events have these among their fields. Nobody has to add them to their format or
their loggers: the task is found in `running_context`, which costs only those who log.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

EVENT, FIELDS = "butler_event", "butler_fields"
CONSOLE = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"

_ABOUT_EXECUTIONS = ("execution.", "attempt.")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class ConsoleLines(logging.Formatter):
    """``time LEVEL logger: message execution=… attempt=… trace=… worker=…``."""

    def __init__(self, worker: str | None) -> None:
        super().__init__(CONSOLE)
        self._worker = worker

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line before any traceback."""
        known = getattr(record, FIELDS, {})
        context = _context(record, worker=self._worker)
        names = {"execution_id": "execution", "trace_id": "trace"}
        if "id" in known:
            context.pop("execution_id", None)
        said = [f"{names.get(k, k)}={v}" for k, v in context.items() if k not in known]
        return " ".join([super().formatMessage(record), *said])


class JsonLines(logging.Formatter):
    """One JSON object a line, in ASCII: nothing in it can forge a second line."""

    def __init__(self, worker: str | None) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        event = getattr(record, EVENT, None)
        if event is not None:
            line["event"] = line["message"] = event
        line |= _context(record, worker=self._worker)
        fields = dict(getattr(record, FIELDS, {}))
        if event is not None and event.startswith(_ABOUT_EXECUTIONS) and "id" in fields:
            line["execution_id"] = fields.pop("id")
        line |= {name: value for name, value in fields.items() if value is not None}
        line |= {k: v for k, v in vars(record).items() if k not in {*_STANDARD, EVENT, FIELDS}}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _context(record: logging.LogRecord, *, worker: str | None) -> dict[str, Any]:
    """What is known of where this was logged; the record may come from another thread's queue."""
    found: dict[str, Any] = {}
    # Only a process that runs tasks has loaded it.
    contexts = sys.modules.get("butler.context")
    context = None if contexts is None else contexts.running_context.get(None)
    if context is not None:
        found |= {"execution_id": context.execution_id, "attempt": context.attempt}
    trace_id = _trace_id(getattr(record, FIELDS, {}))
    if trace_id is not None:
        found["trace_id"] = trace_id
    if worker is not None:
        found["worker"] = worker
    return found


def _trace_id(fields: Mapping[str, object]) -> str | None:
    """That of the present span, where the process traces at all."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None or "trace_id" in fields:
        return None
    span = trace.get_current_span().get_span_context()
    return f"{span.trace_id:032x}" if span.is_valid else None
