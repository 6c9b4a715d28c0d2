"""Server-sent events as bytes (the format of the HTML standard)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from butler.web.models.executions import ShownChange, ShownMoment

if TYPE_CHECKING:
    from datetime import datetime

    from butler.changes import ChangeKind
    from butler.executions import ExecutionStatus
    from butler.storage.logs import LogLine

RECONNECT_MS = 1_000

# Sent at once, so that a proxy passes the head on; and how soon a browser is to come back.
OPENING = f"retry: {RECONNECT_MS}\n\n".encode()
# A comment, which keeps proxies from ending a silent connection.
KEEP_ALIVE = b":\n\n"


def frame(event: str, data: str, *, id_: str | None = None) -> bytes:
    """One event; ``data`` is JSON, which has no line breaks."""
    position = "" if id_ is None else f"id: {id_}\n"
    return f"event: {event}\n{position}data: {data}\n\n".encode()


def moment(event: str, at: datetime, *, id_: str | None = None) -> bytes:
    """An event that only says a time."""
    return frame(event, ShownMoment(at=at).model_dump_json(), id_=id_)


def place(id_: str) -> bytes:
    """Tells a client where it is, and nothing else: an event without data is none."""
    return f"id: {id_}\n\n".encode()


def change(
    kind: ChangeKind,
    *,
    execution_id: str,
    task: str,
    queue: str,
    status: ExecutionStatus,
    attempt: int,
    at: datetime,
    percent: float | None = None,
    message: str | None = None,
    line: LogLine | None = None,
    id_: str | None = None,
) -> bytes:
    """A step of an execution as an event; nothing in it is masked here."""
    shown = ShownChange.model_validate(
        {
            "kind": kind,
            "execution_id": execution_id,
            "task": task,
            "queue": queue,
            "status": status,
            "attempt": attempt,
            "percent": percent,
            "message": message,
            "at": at,
            "line": line,
        }
    )
    return frame(kind.value, shown.model_dump_json(), id_=id_)
