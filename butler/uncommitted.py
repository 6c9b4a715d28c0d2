"""Waiting for executions that were enqueued in a transaction, until that is over.

Until its commit a row is invisible, and after a rollback it never was. Which of the two it is, is
not guessed from how long it takes: the enqueue noted the transaction's number, and the server knows
of each whether it is in progress, committed or aborted.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from butler.errors import ExecutionNotFound, WaitTimeout
from butler.storage.base import Transactional

if TYPE_CHECKING:
    from butler.executions import Execution
    from butler.operating import Operator
    from butler.storage.base import TransactionState

_FIRST_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 0.25
_UNFINISHED = "the transaction it was enqueued in is still open"
_WHY_NOT: dict[TransactionState | None, str] = {
    "open": _UNFINISHED,
    "rolled back": "the transaction it was enqueued in was rolled back",
    "committed": (
        "the transaction it was enqueued in was committed, but not this part of it (a savepoint "
        "was rolled back), or it was deleted since"
    ),
}


class Until:
    """The end of a wait that takes at most ``limit_s`` seconds from now; None for no limit."""

    def __init__(self, limit_s: float | None) -> None:
        self.limit_s = limit_s
        self._at = None if limit_s is None else time.monotonic() + limit_s

    @property
    def left_s(self) -> float | None:
        """Seconds that are left, not below 0."""
        return None if self._at is None else max(self._at - time.monotonic(), 0.0)


def read(operator: Operator, execution_id: str, transaction_id: str) -> Execution:
    """The execution; raises `ExecutionNotFound`, which tells how its transaction stands."""
    execution, missing = _look(operator, execution_id, transaction_id)
    if execution is None:
        raise missing
    return execution


def wait(operator: Operator, execution_id: str, transaction_id: str, until: Until) -> Execution:
    """`read`, once the transaction is over; raises `WaitTimeout` when that takes too long."""
    pauses = _Pauses(execution_id, until)
    while True:
        execution, missing = _look(operator, execution_id, transaction_id)
        if execution is not None:
            return execution
        time.sleep(pauses.next(missing))


async def wait_async(
    operator: Operator, execution_id: str, transaction_id: str, until: Until
) -> Execution:
    """`wait` for a coroutine."""
    pauses = _Pauses(execution_id, until)
    while True:
        execution, missing = await operator.in_thread(
            lambda: _look(operator, execution_id, transaction_id)
        )
        if execution is not None:
            return execution
        await asyncio.sleep(pauses.next(missing))


class _StillOpen(ExecutionNotFound):
    """There may yet be such an execution."""


class _Pauses:
    """Growing pauses between two looks, up to a time limit."""

    def __init__(self, execution_id: str, until: Until) -> None:
        self._execution_id = execution_id
        self._until = until
        self._pause_s = _FIRST_PAUSE_S

    def next(self, missing: ExecutionNotFound) -> float:
        """How long to wait before the next look; raises when there is none."""
        if not isinstance(missing, _StillOpen):
            raise missing
        pause_s = self._pause_s
        self._pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)
        left_s = self._until.left_s
        if left_s is None:
            return pause_s
        if left_s <= 0:
            raise WaitTimeout(
                f"{self._execution_id} has not begun after {self._until.limit_s:g} s: "
                f"{_UNFINISHED}; commit it before you wait"
            )
        return min(pause_s, left_s)


def _look(
    operator: Operator, execution_id: str, transaction_id: str
) -> tuple[Execution | None, ExecutionNotFound]:
    """The execution, or why there is none."""
    missing = ExecutionNotFound(execution_id)
    storage = operator.storage
    execution = storage.get(execution_id)
    if execution is not None or not isinstance(storage, Transactional):
        return execution, missing
    state = storage.transaction_state(transaction_id)
    if state == "open":
        return None, _StillOpen(execution_id, _UNFINISHED)
    if state == "committed":  # perhaps between the two questions
        execution = storage.get(execution_id)
    return execution, ExecutionNotFound(execution_id, _WHY_NOT.get(state))
