"""Waiting for the end of an execution, in a thread or a coroutine; the listener does the work."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from typing import TYPE_CHECKING

from butler.errors import ExecutionNotFound, WaitTimeout
from butler.ids import is_id
from butler.listening.watchers import EndWatcher

if TYPE_CHECKING:
    from butler.executions import Execution
    from butler.listening import Listener


def wait_for_end(execution: Execution, *, listener: Listener, timeout_s: float | None) -> Execution:
    """The execution once it is over; ``execution`` is how it was found just now."""
    if execution.status.finished:
        return execution
    watcher = EndWatcher(execution.id, execution)
    listener.watch(watcher)
    try:
        done, _ = concurrent.futures.wait((watcher.end,), timeout_s)
    finally:
        listener.unwatch(watcher)
    if not done:
        raise _timeout(watcher, timeout_s)
    return watcher.end.result()


async def end_of(execution_id: str, *, listener: Listener, timeout_s: float | None) -> Execution:
    """The same for a coroutine; the first look at it is the listener's too, and takes no thread."""
    if not is_id(execution_id):
        raise ExecutionNotFound(execution_id)
    until = None if timeout_s is None else time.monotonic() + timeout_s
    watcher = EndWatcher(execution_id)
    listener.watch(watcher)
    end = asyncio.wrap_future(watcher.end)
    try:
        if until is not None:
            # However short the time, the ledger is asked once.
            await asyncio.wrap_future(watcher.begun)
        left_s = None if until is None else max(until - time.monotonic(), 0.0)
        done, _ = await asyncio.wait((end,), timeout=left_s)
        if not done:
            raise _timeout(watcher, timeout_s)
        return end.result()
    finally:
        listener.unwatch(watcher)
        end.cancel()


def _timeout(watcher: EndWatcher, timeout_s: float | None) -> WaitTimeout:
    assert watcher.last is not None
    last = watcher.last
    return WaitTimeout(
        f"{last.task} {watcher.execution_id} is still {last.status} after {timeout_s:g} s; "
        "it goes on"
    )
