"""`Envelope`: what is around every request, whatever becomes of it.

The request's id, the headers that every answer has, a log line, a limit for the body, and an answer
for errors that nobody foresaw. Written for ASGI itself and not as a framework's middleware, which
would buffer streams and lose context variables.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from butler.log import log_event
from butler.web.openapi import STREAM
from butler.web.problems import INTERNAL, MALFORMED, TOO_LARGE, Problem
from butler.web.request_ids import HEADER, current_request_id, request_id_of
from butler.web.request_metrics import UNKNOWN

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from butler.web.request_metrics import RequestMetrics

logger = logging.getLogger(__name__)

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

# An API has nothing to be framed, sniffed, run or remembered by others.
ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"private, no-cache"),
)


class Envelope:
    """Wraps an application; bodies are of at most ``max_body_bytes``."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, metrics: RequestMetrics) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._metrics.in_flight():
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        request_id = request_id_of(headers.get(HEADER))
        token = current_request_id.set(request_id)
        answer = _Answer(send, request_id=request_id)
        body = _Body(receive, limit=self._max_body_bytes)
        try:
            problem = _unreadable(headers, limit=self._max_body_bytes)
            if problem is not None:
                await problem.response()(scope, receive, answer.send)
                return
            await self._app(scope, body.receive, answer.send)
        except Exception as error:
            if answer.status:
                raise
            problem = error if isinstance(error, Problem) else _unforeseen(request_id)
            if problem is not error:
                logger.exception("web.failed request_id=%s", request_id)
            await problem.response()(scope, receive, answer.send)
        finally:
            _log(scope, answer)
            if answer.status:
                took_s = None if answer.streams else answer.took_s
                self._metrics.answered(_resource(scope), status=answer.status, took_s=took_s)
            current_request_id.reset(token)


class _Answer:
    """Sends what the application sends, with our headers."""

    def __init__(self, send: Send, *, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self._began = time.monotonic()
        self.status = 0
        self.streams = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            there = dict(message["headers"])
            self.streams = there.get(b"content-type", b"").startswith(STREAM.encode())
            message["headers"] = [
                *message["headers"],
                *(each for each in ALWAYS if each[0] not in there),
                (HEADER.lower().encode(), self._request_id.encode()),
            ]
        await self._send(message)

    @property
    def took_s(self) -> float:
        return time.monotonic() - self._began


class _Body:
    """Counts what arrives; a caller need not say beforehand how much it will be."""

    def __init__(self, receive: Receive, *, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._arrived = 0

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._arrived += len(message.get("body", b""))
            if self._arrived > self._limit:
                raise _too_large(self._limit)
        return message


def _unreadable(headers: Headers, *, limit: int) -> Problem | None:
    """What is wrong with the headers alone."""
    length = headers.get("Content-Length", "0")
    if not (length.isascii() and length.isdigit()):
        return Problem(MALFORMED, "Content-Length must be a number of bytes")
    # Longer than any limit, and too long to be read as a number.
    if len(length) > 18 or int(length) > limit:
        return _too_large(limit)
    return None


def _too_large(limit: int) -> Problem:
    return Problem(TOO_LARGE, f"the body may have {limit} bytes: send several requests")


def _unforeseen(request_id: str) -> Problem:
    detail = f"the log has more under the request id {request_id}"
    return Problem(INTERNAL, detail, request_id=request_id)


def _resource(scope: Scope) -> str:
    tags: list[str] = getattr(scope.get("route"), "tags", [])
    return tags[0] if tags else UNKNOWN


def _log(scope: Scope, answer: _Answer) -> None:
    """Changes are worth a line, reads are not."""
    level = logging.DEBUG if scope["method"] in _SAFE else logging.INFO
    log_event(
        logger,
        logging.WARNING if answer.status >= INTERNAL.status else level,
        "web.request",
        method=scope["method"],
        path=scope["path"],
        status=answer.status,
        ms=round(answer.took_s * 1000, 1),
        caller=scope.get("state", {}).get("caller_name", "-"),
    )
