"""Streams, opened as a server would and read as a browser would."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

PATIENCE_S = 30.0


@dataclass
class Event:
    """What came between two empty lines."""

    name: str | None = None
    id: str | None = None
    data: dict | None = None
    comment: bool = False

    @classmethod
    def read(cls, text):
        event = cls()
        for line in text.splitlines():
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                event.name = value
            elif field == "id":
                event.id = value
            elif field == "data":
                event.data = json.loads(value)
            elif not field:
                event.comment = True
        return event


class Stream:
    """An answer that is under way. ``take`` False: a client that reads nothing more."""

    def __init__(self):
        self.answering = None
        self.status = None
        self.headers = {}
        self.body = b""
        self.last_id = None
        self.over = asyncio.Event()
        self.left = asyncio.Event()
        self.takes = asyncio.Event()
        self.takes.set()
        self._arrived = asyncio.Event()

    async def send(self, message):
        await self.takes.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.body += message["body"]
            if not message.get("more_body"):
                self.over.set()
        self._arrived.set()

    async def begun(self):
        await self._until(lambda: self.status is not None)
        return self

    async def event(self):
        """The next event that has a name."""
        while True:
            await self._until(lambda: b"\n\n" in self.body or self.over.is_set())
            text, there, self.body = self.body.partition(b"\n\n")
            assert there, "the stream is over"
            event = Event.read(text.decode())
            self.last_id = event.id or self.last_id
            if event.name is not None:
                return event

    async def events(self, count):
        return [await self.event() for _ in range(count)]

    async def rest(self):
        """All that comes until its end."""
        await self._until(self.over.is_set)
        texts = self.body.decode().split("\n\n")
        self.body = b""
        events = [Event.read(text) for text in texts if text]
        self.last_id = next((event.id for event in reversed(events) if event.id), self.last_id)
        return [event for event in events if event.name is not None]

    async def _until(self, condition):
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._arrived.clear()
                await self._arrived.wait()


@asynccontextmanager
async def opened(app, url, *, token=None, last_id=None):
    """A stream; leaving it is a client that leaves, after which the application must be done."""
    parts = urlsplit(url)
    headers = [(b"host", b"localhost")]
    if token is not None:
        headers.append((b"authorization", f"Bearer {token}".encode()))
    if last_id is not None:
        headers.append((b"last-event-id", last_id.encode()))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": parts.path,
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1234),
        "server": ("localhost", 80),
    }
    stream = Stream()
    asked = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        if asked:
            return asked.pop()
        await stream.left.wait()
        return {"type": "http.disconnect"}

    answering = stream.answering = asyncio.create_task(app(scope, receive, stream.send))
    try:
        yield await stream.begun()
        stream.left.set()
        async with asyncio.timeout(PATIENCE_S):
            await answering
    finally:
        answering.cancel()
