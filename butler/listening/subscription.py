"""One pub/sub connection that a thread can sleep on, and be woken from by any other."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from butler.changes import read_word
from butler.connections import clone_redis
from butler.errors import QueueUnavailable
from butler.queues import WireKeys, as_text, wire_errors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from redis import Redis

    from butler.changes import Word

# A server that cannot be reached must not keep the ledger from being asked for long.
TIMEOUT_S = 2.0
PING_AFTER_S = 15.0
DEAD_AFTER_S = 20.0
READ_AT_ONCE = 500
_SLICE_S = 0.02
_PREFIX = WireKeys.changes("")
_ALL = WireKeys.changes("*")


class Waker:
    """Ends somebody's sleep, from any thread; a pipe, because a socket is slept on as well."""

    def __init__(self) -> None:
        self.receiver, self._sender = socket.socketpair()
        self.receiver.setblocking(False)
        self._sender.setblocking(False)

    def wake(self) -> None:
        """End the present sleep, or the next one; never blocks."""
        # A full pipe has woken the sleeper already.
        with contextlib.suppress(BlockingIOError):
            self._sender.send(b"\0")

    def clear(self) -> bool:
        """Whether it was woken since this was asked last."""
        try:
            return bool(self.receiver.recv(4096))
        except BlockingIOError:
            return False

    def sleep(self, timeout_s: float) -> None:
        """Sleep until woken, at most this long."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.receiver, selectors.EVENT_READ)
            selector.select(timeout_s)

    def close(self) -> None:
        """Give back the pipe."""
        self.receiver.close()
        self._sender.close()


@dataclass(slots=True)
class Arrived:
    """What a subscription has heard.

    ``watched`` are words, and None for each id whose channel is heard from now on; ``followed``
    are words about any execution, those that are watched among them.
    """

    watched: list[tuple[str, Word | None]] = field(default_factory=list)
    followed: list[tuple[str, Word]] = field(default_factory=list)


class Subscription:
    """The channels of some executions, or of all, on one connection of its own.

    Methods raise `QueueUnavailable` when Redis does not answer; make a new one then.
    """

    def __init__(self, redis: Redis, *, waker: Waker) -> None:
        self._client = clone_redis(redis, timeout_s=TIMEOUT_S)
        # The client's own health checks take a silent server for a patient one.
        self._client.connection_pool.connection_kwargs["health_check_interval"] = 0
        self._pubsub: Any = self._client.pubsub()  # type: ignore[no-untyped-call]
        self._waker = waker
        self._selector: selectors.BaseSelector | None = None
        self._heard_at = time.monotonic()
        self._pinged = False
        self._more = False
        self._wants_all = False
        self.ids: set[str] = set()
        self.hears_all = False
        """Whether words about all executions arrive by now; see `want_all`."""

    def add(self, ids: Iterable[str]) -> None:
        """Ask for their channels; `read` tells when each is heard."""
        if new := [execution_id for execution_id in ids if execution_id not in self.ids]:
            with wire_errors("subscription"):
                self._pubsub.subscribe(*map(WireKeys.changes, new))
            self.ids.update(new)
            self._select()

    def remove(self, ids: Iterable[str]) -> None:
        """Ask for them no more."""
        if old := [execution_id for execution_id in ids if execution_id in self.ids]:
            with wire_errors("subscription"):
                self._pubsub.unsubscribe(*map(WireKeys.changes, old))
            self.ids.difference_update(old)

    def want_all(self, *, wanted: bool) -> None:
        """Ask for the channels of all executions by one pattern, or ask for that no more."""
        if wanted is self._wants_all:
            return
        with wire_errors("subscription"):
            if wanted:
                self._pubsub.psubscribe(_ALL)
            else:
                self._pubsub.punsubscribe(_ALL)
        self._wants_all = wanted
        self.hears_all = False
        self._select()

    def read(self) -> Arrived:
        """What has arrived."""
        arrived = Arrived()
        with wire_errors("subscription"):
            for _ in range(READ_AT_ONCE):
                message = self._pubsub.get_message(timeout=0)
                if message is None:
                    self._more = False
                    break
                self._heard_at, self._pinged = time.monotonic(), False
                self._take(message, arrived)
            else:
                # What is left lies in the client's buffer, where no select sees it.
                self._more = True
            self._check_alive()
        return arrived

    def _take(self, message: dict[str, Any], arrived: Arrived) -> None:
        kind = message["type"]
        if kind == "psubscribe":
            self.hears_all = self._wants_all
            return
        if kind not in {"subscribe", "message", "pmessage"}:
            return
        execution_id = as_text(message["channel"]).removeprefix(_PREFIX)
        if kind == "subscribe":
            arrived.watched.append((execution_id, None))
            return
        word = read_word(message["data"], execution_id=execution_id)
        if word is None:
            return
        if kind == "message":
            arrived.watched.append((execution_id, word))
        else:
            arrived.followed.append((execution_id, word))

    def sleep(self, timeout_s: float) -> None:
        """Sleep until something arrives or somebody wakes, at most this long."""
        timeout_s = 0.0 if self._more else max(min(timeout_s, PING_AFTER_S), 0.0)
        if not self.ids and not self._wants_all:
            self._waker.sleep(timeout_s)
        elif self._selector is not None:
            self._selector.select(timeout_s)
        else:
            self._sleep_in_slices(timeout_s)

    def close(self) -> None:
        """Give back the connection."""
        if self._selector is not None:
            self._selector.close()
        with contextlib.suppress(Exception):
            self._pubsub.close()
            self._client.connection_pool.disconnect()

    def _select(self) -> None:
        """Sleep on the connection's own socket; redis-py has no public way to it."""
        connection_socket = getattr(self._pubsub.connection, "_sock", None)
        if self._selector is None and isinstance(connection_socket, socket.socket):
            self._selector = selectors.DefaultSelector()
            self._selector.register(connection_socket, selectors.EVENT_READ)
            self._selector.register(self._waker.receiver, selectors.EVENT_READ)

    def _sleep_in_slices(self, timeout_s: float) -> None:
        # A connection without a socket: a Redis in this process.
        until = time.monotonic() + timeout_s
        while time.monotonic() < until and not self._waker.clear():
            if self._pubsub.connection.can_read(timeout=_SLICE_S):
                return

    def _check_alive(self) -> None:
        silent_s = time.monotonic() - self._heard_at
        idle = not self.ids and not self._wants_all
        if idle or self._selector is None or silent_s < PING_AFTER_S:
            return
        if silent_s > DEAD_AFTER_S:
            raise QueueUnavailable(f"Redis has said nothing for {silent_s:.0f} s, not even to PING")
        if not self._pinged:
            self._pinged = True
            self._pubsub.ping()
