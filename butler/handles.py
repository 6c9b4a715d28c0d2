"""`Handle`: one execution in the hands of whoever enqueued it."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from butler import uncommitted
from butler.blocking import warn_if_loop_blocked
from butler.durations import seconds
from butler.errors import TaskCancelled, TaskFailed
from butler.executions import ExecutionStatus

if TYPE_CHECKING:
    from datetime import timedelta

    from butler.codec import Codec
    from butler.executions import Execution
    from butler.operating import Operator
    from butler.storage.limits import Prospect
    from butler.storage.logs import LogLine
    from butler.storage.records import Page
    from butler.streams import ExecutionStream

R_co = TypeVar("R_co", covariant=True)


class Handle(Generic[R_co]):
    """An execution by its id: look at it, wait for its result, follow it, cancel it.

    ``created`` is false when an unfinished execution already held the unique key: the handle is
    of that one. ``pushed`` tells whether this call put it on its queue; where it did not (Redis is
    away, it is not due yet, it was there before, your transaction is still open) the scheduler does
    when it is time. ``replaced`` is true when that holder still waited and now does this instead.

    In a coroutine use the awaited forms, whose names begin with ``a``: ``await handle.aresult()``.
    """

    __slots__ = ("_operator", "_result", "_transaction_id", "created", "id", "pushed", "replaced")

    def __init__(
        self,
        operator: Operator,
        execution_id: str,
        *,
        result: Codec | None = None,
        created: bool = False,
        pushed: bool = False,
        replaced: bool = False,
        transaction_id: str | None = None,
    ) -> None:
        self._operator = operator
        self._result = result
        self._transaction_id = transaction_id
        self.id = execution_id
        self.created = created
        self.pushed = pushed
        self.replaced = replaced

    def execution(self) -> Execution:
        """Everything the ledger knows about it now; raises `ExecutionNotFound`."""
        warn_if_loop_blocked("handle.execution()", awaited="await handle.aexecution()")
        return self._read()

    async def aexecution(self) -> Execution:
        """`execution` for a coroutine."""
        return await self._operator.in_thread(self._read)

    @property
    def status(self) -> ExecutionStatus:
        """Its status now, read from the ledger; raises `ExecutionNotFound`."""
        warn_if_loop_blocked("handle.status", awaited="(await handle.aexecution()).status")
        return self._read().status

    def result(self, *, timeout_s: float | timedelta | None = None) -> R_co:
        """Wait for the end, at most ``timeout_s``, and return the task's result.

        Raises `TaskFailed`, `TaskCancelled`, `ExecutionNotFound`, or `WaitTimeout` with the
        execution going on. While the transaction it was enqueued in is open, it waits for that
        too. Raises `StorageUnavailable` when the ledger is away at the beginning; later it is
        waited for. Blocks the thread, and costs nothing else: see ``butler.listening``.
        """
        from butler.waiting import wait_for_end

        warn_if_loop_blocked("handle.result()", awaited="await handle.aresult()")
        limit_s = _limit_s(timeout_s)
        if self._transaction_id is None:
            execution = self._operator.get_or_raise(self.id)
        else:
            until = uncommitted.Until(limit_s)
            execution = uncommitted.wait(self._operator, self.id, self._transaction_id, until)
            limit_s = until.left_s
        listener = self._operator.listener
        return self._result_of(wait_for_end(execution, listener=listener, timeout_s=limit_s))

    async def aresult(self, *, timeout_s: float | timedelta | None = None) -> R_co:
        """`result` for a coroutine; takes no thread, however many wait."""
        from butler.waiting import end_of

        limit_s = _limit_s(timeout_s)
        if self._transaction_id is not None:
            until = uncommitted.Until(limit_s)
            await uncommitted.wait_async(self._operator, self.id, self._transaction_id, until)
            limit_s = until.left_s
        listener = self._operator.listener
        return self._result_of(await end_of(self.id, listener=listener, timeout_s=limit_s))

    def events(self, *, timeout_s: float | timedelta | None = None) -> ExecutionStream:
        """Follow it: how it stands now, then each change of state and progress, until its end.

        For ``for`` and for ``async for``. Progress comes within 250 ms of being reported, and what
        the task logs from then on within 500 ms; `logs` has all of it. See `ExecutionStream` for
        what it raises.
        """
        from butler.streams import ExecutionStream

        return ExecutionStream(
            self.id,
            listener=lambda: self._operator.listener,
            clock=self._operator.clock,
            timeout_s=_limit_s(timeout_s),
        )

    def logs(self, *, after: int | None = None, limit: int = 1_000) -> list[LogLine]:
        """What it has logged, oldest first; as `Butler.logs`."""
        warn_if_loop_blocked("handle.logs()", awaited="await handle.alogs()")
        return self._operator.logs(self.id, after=after, limit=limit)

    async def alogs(self, *, after: int | None = None, limit: int = 1_000) -> list[LogLine]:
        """`logs` for a coroutine."""
        call = partial(self._operator.logs, self.id, after=after, limit=limit)
        return await self._operator.in_thread(call)

    def children(self, *, cursor: str | None = None, limit: int = 100) -> Page:
        """A page of the executions that it has enqueued, newest first; as `Butler.children`."""
        warn_if_loop_blocked("handle.children()", awaited="await handle.achildren()")
        return self._operator.children(self.id, cursor=cursor, limit=limit)

    async def achildren(self, *, cursor: str | None = None, limit: int = 100) -> Page:
        """`children` for a coroutine."""
        call = partial(self._operator.children, self.id, cursor=cursor, limit=limit)
        return await self._operator.in_thread(call)

    def waits_for(self) -> list[Prospect]:
        """The limits and pauses that keep it from starting; as `Limits.waits_for`."""
        warn_if_loop_blocked("handle.waits_for()", awaited="await handle.awaits_for()")
        return self._operator.limits.waits_for(self.id)

    async def awaits_for(self) -> list[Prospect]:
        """`waits_for` for a coroutine."""
        return await self._operator.in_thread(lambda: self._operator.limits.waits_for(self.id))

    def cancel(self) -> bool:
        """Cancel it; as `Butler.cancel`."""
        warn_if_loop_blocked("handle.cancel()", awaited="await handle.acancel()")
        return self._operator.cancel(self.id)

    async def acancel(self) -> bool:
        """`cancel` for a coroutine."""
        return await self._operator.in_thread(lambda: self._operator.cancel(self.id))

    def _read(self) -> Execution:
        if self._transaction_id is None:
            return self._operator.get_or_raise(self.id)
        return uncommitted.read(self._operator, self.id, self._transaction_id)

    def _result_of(self, execution: Execution) -> R_co:
        if execution.status is ExecutionStatus.FAILED:
            raise TaskFailed(execution)
        if execution.status is ExecutionStatus.CANCELLED:
            raise TaskCancelled(execution)
        value: R_co = self._decoded(execution.result)
        return value

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


def _limit_s(timeout_s: float | timedelta | None) -> float | None:
    return None if timeout_s is None else seconds("timeout_s", timeout_s)
