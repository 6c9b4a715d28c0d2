"""`ProducerWire`: a producer in a hurry sends a push and reads the answer with its next one.

An enqueue is a commit and a push, and waiting for the second doubles what the first costs. The
first push after a while is waited for: so a request that enqueues once knows that it is on its
queue. One that follows within `HURRY_S` of the last is only sent: Redis does it while this process
prepares and commits the next row, in the order it was sent, also if this process ends meanwhile.
Such a push is made ready (`prepare`) while its own row is being committed, and then only sent.

What it may cost: nothing that is promised. The row is committed before, so a push that Redis
refused is found by the reconciler, as one that failed at once is; that it failed is noticed by one
of the next few pushes. What else is told to Redis here waits for the answers first, so that a
cancel cannot overtake its push. Rejected: pushing from a thread, which costs each enqueue a
hand-over, and loses what it holds when the process ends.

Of many executions each batch is packed while Redis is at the one before, and the last ones are not
waited for either: `settle` does.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from butler.errors import QueueUnavailable
from butler.queues import PUSH_BATCH, QueueWire, batches, wire_errors
from butler.resp import command, packed, packed_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from redis import Redis
    from redis.commands.core import Script

    from butler.storage.records import QueueEntry

HURRY_S = 0.005
# Looking for answers costs as much as packing a push, so it is done for some at once.
SOME_OWED = 8
MOST_OWED = 32


class ProducerWire(QueueWire):
    """The queues, with pushes whose answers may come late. Raises like `QueueWire`."""

    def __init__(self, redis: Redis, *, ledger_id: str) -> None:
        super().__init__(redis, ledger_id=ledger_id)
        self._late = LateAnswers(redis, script=self._push)
        self._pushed_at = -HURRY_S

    def push(self, entries: Sequence[QueueEntry], *, from_hand: str | None = None) -> int:
        """Queue executions; returns how many, or were sent to be."""
        if len(entries) == 1 and from_hand is None:
            send = self.prepare(entries[0])
            if send is not None:
                send()
                return 1
        try:
            self.settle()
            if len(entries) > PUSH_BATCH and from_hand is None:
                self._push_batches(entries)
                return len(entries)
            return super().push(entries, from_hand=from_hand)
        finally:
            self._pushed_at = time.monotonic()

    def _push_batches(self, entries: Sequence[QueueEntry]) -> None:
        with wire_errors("push"):
            for (queue, priority), batch in batches(entries):
                keys, args = self._push_call(queue, priority, batch, None)
                self._late.send(self._late.packed(keys, args, jobs=len(batch)))

    def prepare(self, entry: QueueEntry) -> Callable[[], None] | None:
        """What sends the push of one execution; None where that shall be waited for.

        Reads the answers that have come, and so raises where an earlier push was refused.
        """
        if time.monotonic() - self._pushed_at >= HURRY_S:
            return None
        keys, args = self._push_call(entry.queue, entry.priority, [entry], None)
        with wire_errors("push"):
            self._late.take_in()
        return partial(self._send, self._late.packed(keys, args))

    def _send(self, packed_push: bytes) -> None:
        try:
            with wire_errors("push"):
                self._late.send(packed_push)
        finally:
            self._pushed_at = time.monotonic()

    def withdraw(self, entries: Sequence[QueueEntry]) -> None:
        """Take cancelled executions off their lists, after what was sent is on them."""
        self.settle()
        super().withdraw(entries)

    def forget(self, entries: Sequence[QueueEntry]) -> None:
        """Remove every trace of executions, after what was sent has made its own."""
        self.settle()
        super().forget(entries)

    def settle(self) -> None:
        """Wait for the answers that are still owed."""
        with wire_errors("push"):
            self._late.settle()


class LateAnswers:
    """Calls of one script over one connection, answered in their order, some time."""

    def __init__(self, redis: Redis, *, script: Script) -> None:
        self._pool = redis.connection_pool
        self._script = script
        self._lock = threading.Lock()
        self._connection: Any = None
        self._owed = 0

    def packed(
        self, keys: Sequence[str], args: Sequence[str | int | bytes], *, jobs: int = 1
    ) -> bytes:
        """One call of the script, of which the last ``jobs`` keys are those that change."""
        same = packed_once("EVALSHA", self._script.sha, len(keys), *keys[:-jobs])
        return command(3 + len(keys) + len(args), same, packed(*keys[-jobs:], *args))

    def take_in(self) -> None:
        """Read the answers that have come, if some are owed; raises the first that is an error."""
        if self._owed < SOME_OWED:
            return
        with self._lock, self._or_none():
            while self._owed and (self._owed >= MOST_OWED or self._connection.can_read(0)):
                self._read()

    def send(self, call: bytes) -> None:
        """Send one call, over a new connection where the server has closed the last one."""
        with self._lock, self._or_none():
            if self._connection is not None and not self._owed and self._is_over():
                self._let_go()
            if self._connection is None:
                self._connect()
            # A list of parts would be sent, and would wake Redis, part by part.
            self._connection.send_packed_command([call])
            self._owed += 1

    def settle(self) -> None:
        """Read every answer that is owed."""
        if self._owed:
            with self._lock, self._or_none():
                while self._owed:
                    self._read()

    def _connect(self) -> None:
        self._connection = self._pool.get_connection()
        self._connection.send_command("SCRIPT", "LOAD", self._script.script)
        self._connection.read_response()

    def _is_over(self) -> bool:
        """A server that owes no answer says nothing, or goodbye."""
        try:
            with wire_errors("push"):
                return bool(self._connection.can_read(0))
        except QueueUnavailable:
            return True

    def _let_go(self) -> None:
        connection, self._connection, self._owed = self._connection, None, 0
        if connection is not None:
            connection.disconnect()
            self._pool.release(connection)

    def _read(self) -> None:
        self._owed -= 1
        self._connection.read_response()

    @contextmanager
    def _or_none(self) -> Iterator[None]:
        """After an error the connection is not used again: nobody knows what it would answer."""
        try:
            yield
        except BaseException:
            self._let_go()
            raise
