"""Waiting for the end of an execution, in a thread or a coroutine; the listener does the work."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import time
from typing import TYPE_CHECKING

from butler.context import running_context
from butler.errors import ExecutionNotFound, WaitTimeout
from butler.executions import ExecutionStatus
from butler.ids import is_id
from butler.listening.watchers import EndWatcher
from butler.log import log_event

if TYPE_CHECKING:
    from butler.executions import Execution
    from butler.listening import Listener
    from butler.storage.records import Standing

logger = logging.getLogger(__name__)

READ_S = 5.0


def wait_for_end(execution: Execution, *, listener: Listener, timeout_s: float | None) -> Execution:
    """The execution once it is over; ``execution`` is how it was found just now."""
    if execution.status.finished:
        return execution
    _warn_without_slot(execution)
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
        if until is not None or running_context.get(None) is not None:
            # However short the time, the ledger is asked once.
            await asyncio.wrap_future(watcher.begun)
            if watcher.last is not None:
                _warn_without_slot(watcher.last)
        left_s = None if until is None else max(until - time.monotonic(), 0.0)
        if left_s is not None and watcher.last is not None and watcher.last.status.finished:
            # It is over, and its result is being read this moment.
            left_s += READ_S
        done, _ = await asyncio.wait((end,), timeout=left_s)
        if not done:
            raise _timeout(watcher, timeout_s)
        return end.result()
    finally:
        listener.unwatch(watcher)
        end.cancel()


def _warn_without_slot(awaited: Execution | Standing) -> None:
    """Say, once an attempt, that a task waits for what may need the slot it waits in."""
    context = running_context.get(None)
    if context is None or awaited.status.finished or awaited.status is ExecutionStatus.RUNNING:
        return
    slots = context._control.slots_without_room()  # noqa: SLF001 - the worker's side of it
    if slots:
        log_event(
            logger,
            logging.WARNING,
            "task.waits_without_slot",
            id=context.execution_id,
            task=context.task,
            waits_for=awaited.id,
            awaited_task=awaited.task,
            slots=slots,
            hint="all slots of this worker are taken: if every worker's are, nobody can run what "
            "is waited for. Let the task end and a later one go on, or raise --concurrency",
        )


def _timeout(watcher: EndWatcher, timeout_s: float | None) -> WaitTimeout:
    assert watcher.last is not None
    last = watcher.last
    return WaitTimeout(
        f"{last.task} {watcher.execution_id} is still {last.status} after {timeout_s:g} s; "
        "it goes on"
    )
