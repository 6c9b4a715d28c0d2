"""`in_memory`: an application's own Butler, for a while without its servers."""

# What a Butler was made with is its own business; only here is it exchanged.
# ruff: noqa: SLF001

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from butler.backends import Backends
from butler.clock import MovableClock
from butler.in_memory import memory_redis
from butler.known_tasks import KnownTasks
from butler.storage.memory import MemoryStorage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from butler.app import Butler


@contextmanager
def in_memory(butler: Butler) -> Iterator[Butler]:
    """The same Butler, with its ledger and queues in memory inside the block.

    Nothing else changes: its tasks stay bound to it, so that ``send.enqueue(...)`` in the code
    under test goes here. Each block begins empty. Not for a process in which it works already.
    """
    before = (butler._clock, butler._backends, butler._known, butler.closed)
    clock = MovableClock()
    backends = Backends(
        lambda: butler.settings,
        storage=MemoryStorage(clock=clock),
        redis=memory_redis(),
        clock=clock,
    )
    known = KnownTasks(butler._read_definitions, clock=clock)
    butler._clock, butler._backends, butler._known, butler.closed = clock, backends, known, False
    try:
        yield butler
    finally:
        butler._clock, butler._backends, butler._known, butler.closed = before
        backends.close()
