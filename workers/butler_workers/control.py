"""The line between a supervisor and its child: JSON messages over a socket pair.

The end of the line means the other side is dead: a socket is closed by the kernel, also on kill -9.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Message = dict[str, Any]


class ControlLine:
    """Sends and receives messages; sending to a dead peer does nothing."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = b""
        # Reentrant: under it memory may be collected, and what goes then may log, and so send.
        self._lock = threading.RLock()

    def fileno(self) -> int:
        """For selectors."""
        return self._sock.fileno()

    def send(self, kind: str, **fields: Any) -> None:
        """Send one message."""
        data = _encoded(kind, fields)
        with self._lock, contextlib.suppress(OSError):
            self._sock.sendall(data)

    def receive(self) -> list[Message] | None:
        """Read once what is there, as whole messages; None when the peer is gone."""
        try:
            data = self._sock.recv(65_536)
        except OSError:
            return None
        if not data:
            return None
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def __iter__(self) -> Iterator[Message]:
        """All messages until the peer is gone."""
        while (messages := self.receive()) is not None:
            yield from messages

    def close(self) -> None:
        """Close this end."""
        self._sock.close()


class SupervisorLine(ControlLine):
    """The supervisor's end: it never waits for a child that does not read.

    A child that is stopped, or whose interpreter a C call holds, reads nothing for as long; waiting
    for it would keep its siblings' heartbeats back until they were given up, too.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._unsent = b""

    def send(self, kind: str, **fields: Any) -> None:
        """Send one message, as soon as the child reads; see `flush`."""
        with self._lock:
            self._unsent += _encoded(kind, fields)
            self.flush()

    def offer(self, kind: str, **fields: Any) -> None:
        """Send one message, unless the child has not read the ones before it."""
        with self._lock:
            self.flush()
            if not self._unsent:
                self.send(kind, **fields)

    def flush(self) -> None:
        """Send what there is room for now; to be called now and then."""
        with self._lock, contextlib.suppress(OSError):
            while self._unsent:
                sent = self._sock.send(self._unsent, socket.MSG_DONTWAIT)
                self._unsent = self._unsent[sent:]


def _encoded(kind: str, fields: dict[str, Any]) -> bytes:
    return json.dumps({"kind": kind, **fields}).encode() + b"\n"
