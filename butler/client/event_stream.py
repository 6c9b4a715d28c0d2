"""Server-sent events, line by line (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from butler.client.replies import EVENT_STREAM, OK
from butler.client.steps import Answer, ReadLine

if TYPE_CHECKING:
    from butler.client.steps import Talk, Unanswered

# A server that lives shows it more often than this.
QUIET_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerEvent:
    """One event; ``id`` is what ``Last-Event-ID`` takes. A pulse has no ``data``."""

    id: str | None
    kind: str
    data: str


def is_stream(reply: Answer | Unanswered) -> bool:
    """Whether there is a stream to read now."""
    if not isinstance(reply, Answer) or reply.status != OK:
        return False
    return reply.headers.get("content-type", "").startswith(EVENT_STREAM)


def stream_headers(last_id: str | None) -> dict[str, str]:
    """What a stream is asked for with, to go on after the event with this id."""
    headers = {"Accept": EVENT_STREAM, "Cache-Control": "no-cache"}
    return headers if last_id is None else headers | {"Last-Event-ID": last_id}


def next_event(last_id: str | None) -> Talk[ServerEvent | None]:
    """The next event of the open stream; None when the stream is over, broken or silent.

    What only shows that the server lives, or says how far it has come, is given back as an event
    without data, so that whoever waits for an end can look at the clock.
    """
    id_, kind, data = last_id, "message", list[str]()
    while True:
        line: str | None = yield ReadLine()
        if line is None:
            return None
        if not line and (data or id_ != last_id):
            return ServerEvent(id=id_, kind=kind, data="\n".join(data))
        if line.startswith(":"):
            return ServerEvent(id=id_, kind="", data="")
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "id":
                id_ = value
            case "event":
                kind = value
            case "data":
                data.append(value)
