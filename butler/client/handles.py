"""`ClientHandle` and `AsyncClientHandle`: one execution in the hands of a client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from butler.changes import ChangeKind, ExecutionChange
from butler.client.asks import Ask
from butler.client.awaiting import Awaiting
from butler.client.blocking import Blocking
from butler.client.executions import log_lines, read_cancelled
from butler.client.following import STREAM, Following
from butler.client.operations import conversation, operation, pages, steps
from butler.client.payloads import result_of
from butler.client.records import read_execution
from butler.client.resource import D, Resource
from butler.durations import seconds
from butler.errors import TaskCancelled, TaskFailed
from butler.executions import ExecutionStatus

if TYPE_CHECKING:
    from datetime import timedelta

    from butler.client.paging import Part
    from butler.client.steps import Talk
    from butler.executions import Execution
    from butler.storage.logs import LogLine
    from butler.web.models.executions import Enqueued

R = TypeVar("R")


class RemoteHandle(Resource[D], Generic[D, R]):
    """An execution by its id: look at it, wait for its result, follow it, cancel it.

    ``created``, ``pushed`` and ``replaced`` are what the enqueue said, as of a `Handle`.
    """

    def __init__(
        self,
        driver: D,
        execution_id: str,
        *,
        result: Any = None,
        created: bool = False,
        pushed: bool = False,
        replaced: bool = False,
    ) -> None:
        super().__init__(driver)
        self._result = result
        self.id = execution_id
        self.created = created
        self.pushed = pushed
        self.replaced = replaced

    @operation("GET /executions/{execution_id}")
    def execution(self) -> Ask[Execution]:
        """All that is known of it now; raises `ExecutionNotFound`."""
        return Ask(read=read_execution, place={"execution_id": self.id})

    @conversation
    def result(self, *, timeout_s: float | timedelta | None = None) -> Talk[R]:
        """Wait for the end, at most ``timeout_s``, and return the task's result.

        Raises `TaskFailed`, `TaskCancelled`, `ExecutionNotFound`, or `WaitTimeout` with the
        execution going on; and `InvalidRequest` for a result that is not of the type that was asked
        for. A server that does not answer later than at the beginning is waited for.
        """
        execution = yield from self._following(timeout_s, ChangeKind.STATE).talk()
        if execution.status is ExecutionStatus.FAILED:
            raise TaskFailed(execution)
        if execution.status is ExecutionStatus.CANCELLED:
            raise TaskCancelled(execution)
        value: R = result_of(execution.result, as_type=self._result, task=execution.task)
        return value

    @steps(STREAM, of=ExecutionChange)
    def events(self, *, timeout_s: float | timedelta | None = None) -> Talk[Any]:
        """Follow it: how it stands, then each change of state and progress, until its end.

        What it logs is among them. Live where the server streams; where it does not, states and
        progress, as often as it is asked: every two seconds in the long run.
        """
        return self._following(timeout_s, *ChangeKind).talk()

    @pages("GET /executions/{execution_id}/logs")
    def logs(self, *, after: int | None = None) -> Ask[Part[LogLine]]:
        """Iterate over what it has logged, oldest first."""
        return log_lines(self.id, after=after)

    @operation("POST /executions/{execution_id}/cancel")
    def cancel(self) -> Ask[bool]:
        """End it if it waits, ask it to end if it runs; False when it was over."""
        return Ask(read=read_cancelled, place={"execution_id": self.id})

    def _following(self, timeout_s: float | timedelta | None, *kinds: ChangeKind) -> Following:
        limit_s = None if timeout_s is None else seconds("timeout_s", timeout_s)
        manner = self.driver.manner
        return Following(self.id, manner=manner, timeout_s=limit_s, kinds=kinds)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemoteHandle) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)


class ClientHandle(RemoteHandle[Blocking, R]):
    """A handle of a `ButlerClient`."""


class AsyncClientHandle(RemoteHandle[Awaiting, R]):
    """A handle of an `AsyncButlerClient`: its methods are awaited."""


def handle_of(driver: Blocking | Awaiting, made: Enqueued, *, result: Any = None) -> Any:
    """The handle of what was enqueued over this connection."""
    kind: Any = ClientHandle if isinstance(driver, Blocking) else AsyncClientHandle
    return kind(
        driver,
        made.id,
        result=result,
        created=made.created,
        pushed=made.pushed,
        replaced=made.replaced,
    )
