"""`Handle`: one execution in the hands of whoever enqueued it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from butler.durations import seconds
from butler.errors import TaskCancelled, TaskFailed, WaitTimeout
from butler.executions import ExecutionStatus

if TYPE_CHECKING:
    from datetime import timedelta

    from butler.codec import Codec
    from butler.executions import Execution
    from butler.operating import Operator

R_co = TypeVar("R_co", covariant=True)

_FIRST_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 0.25


class Handle(Generic[R_co]):
    """An execution by its id: look at it, wait for its result, cancel it.

    ``created`` is false when an unfinished execution already held the unique key: the handle is
    of that one. ``pushed`` tells whether this call put it on its queue; where it did not (Redis is
    away, it is not due yet, it was there before) the scheduler does when it is time.
    """

    __slots__ = ("_operator", "_result", "created", "id", "pushed")

    def __init__(
        self,
        operator: Operator,
        execution_id: str,
        *,
        result: Codec | None = None,
        created: bool = False,
        pushed: bool = False,
    ) -> None:
        self._operator = operator
        self._result = result
        self.id = execution_id
        self.created = created
        self.pushed = pushed

    def execution(self) -> Execution:
        """Everything the ledger knows about it now; raises `ExecutionNotFound`."""
        return self._operator.get_or_raise(self.id)

    @property
    def status(self) -> ExecutionStatus:
        """Its status now, read from the ledger; raises `ExecutionNotFound`."""
        return self.execution().status

    def result(self, *, timeout_s: float | timedelta | None = None) -> R_co:
        """Wait for the end, at most ``timeout_s``, and return the task's result.

        Raises `TaskFailed`, `TaskCancelled`, `ExecutionNotFound`, or `WaitTimeout` with the
        execution going on. Blocks the thread: not for the inside of an event loop.
        """
        execution = self._wait(None if timeout_s is None else seconds("timeout_s", timeout_s))
        if execution.status is ExecutionStatus.FAILED:
            raise TaskFailed(execution)
        if execution.status is ExecutionStatus.CANCELLED:
            raise TaskCancelled(execution)
        value: R_co = self._decoded(execution.result)
        return value

    def cancel(self) -> bool:
        """Cancel it; as `Butler.cancel`."""
        return self._operator.cancel(self.id)

    def _wait(self, timeout_s: float | None) -> Execution:
        # The ledger is polled, with pauses that grow with the time already waited: what ends soon
        # is seen soon, what runs for an hour costs four reads a second.
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        pause_s = _FIRST_PAUSE_S
        while not (execution := self.execution()).status.finished:
            left_s = None if deadline is None else deadline - time.monotonic()
            if left_s is not None and left_s <= 0:
                raise WaitTimeout(
                    f"{execution.task} {self.id} is still {execution.status} after {timeout_s:g} s"
                    "; it goes on"
                )
            time.sleep(pause_s if left_s is None else min(pause_s, left_s))
            pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)
        return execution

    def _decoded(self, result: Any) -> Any:
        if self._result is None:
            return result
        return self._result.decode(json.dumps(result))

    def __repr__(self) -> str:
        return f"<Handle {self.id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Handle) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)
