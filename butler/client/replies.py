"""What httpx gives back, as replies to steps; the one place that imports it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from butler.client.steps import Answer, Unanswered
from butler.errors import SettingsError

if TYPE_CHECKING:
    from types import ModuleType

    import httpx

    from butler.client.steps import Send

EVENT_STREAM = "text/event-stream"
OK = 200


def need_httpx() -> ModuleType:
    """The module; raises `SettingsError`, naming the command, where the extra is missing."""
    try:
        import httpx
    except ModuleNotFoundError:
        raise SettingsError(
            "butler.client needs httpx: pip install 'butler-tasks[client]'"
        ) from None
    return httpx


def arguments_of(send: Send, *, url: str) -> dict[str, Any]:
    """What httpx's ``stream`` takes."""
    return {
        "method": send.method,
        "url": url + send.path,
        "params": list(send.query),
        "headers": dict(send.headers),
        "content": send.content,
        "timeout": send.timeout_s,
    }


def is_left_open(send: Send, response: httpx.Response) -> bool:
    """Whether the body is for `ReadLine`."""
    kind = response.headers.get("content-type", "")
    return send.stream and response.status_code == OK and kind.startswith(EVENT_STREAM)


def answer_of(response: httpx.Response, body: bytes = b"") -> Answer:
    """An answer as conversations know it."""
    return Answer(status=response.status_code, headers=response.headers, body=body)


def unanswered(error: httpx.RequestError) -> Unanswered:
    """Why nothing was answered, and whether it may have been done all the same."""
    httpx = need_httpx()
    before = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
    why = str(error) or "no answer in time"
    return Unanswered(why=f"{type(error).__name__}: {why}", sent=not isinstance(error, before))
