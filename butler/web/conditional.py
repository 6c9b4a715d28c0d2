"""`ConditionalGet`: what a caller has already is not sent again (``ETag``, ``If-None-Match``)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class ConditionalGet:
    """Gives each JSON answer to a GET a tag made of its body, unless its handler gave it one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        wanted = Headers(scope=scope).get("If-None-Match")
        await self._app(scope, receive, _Tagged(send, wanted=wanted).send)


class _Tagged:
    """Holds an answer's head back until its body has come; streams pass as they are."""

    def __init__(self, send: Send, *, wanted: str | None) -> None:
        self._send = send
        self._wanted = _tags(wanted)
        self._start: Message | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_whole(message):
            self._start = message
            return
        start, self._start = self._start, None
        if start is None:
            await self._send(message)
            return
        headers = MutableHeaders(scope=start)
        body = message.get("body", b"")
        tag = headers.setdefault("ETag", f'W/"{hashlib.sha256(body).hexdigest()[:32]}"')
        if _weak(tag) in self._wanted or "*" in self._wanted:
            start["status"] = 304
            del headers["Content-Length"], headers["Content-Type"]
            message = {"type": "http.response.body", "body": b""}
        await self._send(start)
        await self._send(message)


def _is_whole(start: Message) -> bool:
    """Whether the body comes in one piece: then its length is known."""
    headers = Headers(raw=start["headers"])
    return start["status"] == 200 and headers.get("Content-Type") == "application/json"


def _tags(header: str | None) -> frozenset[str]:
    return frozenset(_weak(tag.strip()) for tag in (header or "").split(",") if tag.strip())


def _weak(tag: str) -> str:
    """A comparison of GETs takes weak and strong tags for the same."""
    return tag.removeprefix("W/")
