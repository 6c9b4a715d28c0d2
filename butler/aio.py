"""`AsyncButler`: a `Butler` for coroutines, with the same names, awaited.

It is a view, not a twin: registry, connections and listener are the Butler's. A call that asks a
server runs in one of the few threads that the Butler keeps for coroutines; a wait takes none.
Rejected: a second implementation on asyncio drivers, which would be eight hundred lines to keep
equal, and two pools a process.

Cancelling a coroutine that awaits a call does not undo the call: the execution may be written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from functools import partial
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Self,
    TypeAlias,
    TypeVar,
    Unpack,
    overload,
)

from butler.monitoring.aio import AsyncAlertRules, AsyncAlerts, AsyncHealth
from butler.monitoring.stats_aio import AsyncStatistics
from butler.storage.records import Moved

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from butler.app import Butler
    from butler.executions import Execution, ExecutionStatus
    from butler.function_tasks import FunctionTask
    from butler.handles import Handle
    from butler.listing import ListFilters
    from butler.options import EnqueueOptions
    from butler.producing import AnyTask, Order, TypedTask
    from butler.recurring.awaited import AsyncRecurringJobs
    from butler.results import TaskResult
    from butler.steering_aio import AsyncLimits, AsyncQueues
    from butler.storage.limits import Prospect
    from butler.storage.logs import LogLine
    from butler.storage.records import Page
    from butler.streams import ExecutionStream
    from butler.tasks import Task, TaskLike
    from butler.trees import ExecutionTree

T = TypeVar("T")
Req = TypeVar("Req")
Res = TypeVar("Res")
R_co = TypeVar("R_co", covariant=True)

Co: TypeAlias = Coroutine[Any, Any, T]
# Inside the class ``list`` is a method.
Moves: TypeAlias = list[Moved]
Lines: TypeAlias = "list[LogLine]"
Handles: TypeAlias = "list[AsyncHandle[Res]]"
HandlesOrErrors: TypeAlias = "list[AsyncHandle[Any] | Exception]"


class AsyncHandle(Generic[R_co]):
    """A `Handle` whose methods are awaited; ``created`` and ``pushed`` mean the same."""

    __slots__ = ("_handle",)

    def __init__(self, handle: Handle[R_co]) -> None:
        self._handle = handle

    @property
    def id(self) -> str:
        """The execution's id."""
        return self._handle.id

    @property
    def created(self) -> bool:
        """False when an unfinished execution already held the unique key."""
        return self._handle.created

    @property
    def pushed(self) -> bool:
        """Whether the enqueue put it on its queue."""
        return self._handle.pushed

    @property
    def replaced(self) -> bool:
        """Whether what held the unique key still waited and now does this instead."""
        return self._handle.replaced

    async def execution(self) -> Execution:
        """As `Handle.execution`."""
        return await self._handle.aexecution()

    async def status(self) -> ExecutionStatus:
        """As `Handle.status`; a method here, because it is awaited."""
        return (await self._handle.aexecution()).status

    async def result(self, *, timeout_s: float | timedelta | None = None) -> R_co:
        """As `Handle.result`; takes no thread, however many wait."""
        return await self._handle.aresult(timeout_s=timeout_s)

    async def waits_for(self) -> list[Prospect]:
        """As `Handle.waits_for`."""
        return await self._handle.awaits_for()

    async def cancel(self) -> bool:
        """As `Handle.cancel`."""
        return await self._handle.acancel()

    def events(self, *, timeout_s: float | timedelta | None = None) -> ExecutionStream:
        """As `Handle.events`: ``async for change in handle.events()``."""
        return self._handle.events(timeout_s=timeout_s)

    async def logs(self, *, after: int | None = None, limit: int = 1_000) -> list[LogLine]:
        """As `Handle.logs`."""
        return await self._handle.alogs(after=after, limit=limit)

    async def children(self, *, cursor: str | None = None, limit: int = 100) -> Page:
        """As `Handle.children`."""
        return await self._handle.achildren(cursor=cursor, limit=limit)

    def __repr__(self) -> str:
        return f"<AsyncHandle {self.id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsyncHandle) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)


class AsyncButler:
    """Enqueues tasks and looks after executions from coroutines; made by ``butler.aio``.

    Each method does what the `Butler`'s of that name does. What needs no server (``task``,
    ``register``, ``tasks``, ``settings``) stays on ``butler``. ``async with`` closes the Butler.
    """

    def __init__(self, butler: Butler) -> None:
        self.butler = butler

    @overload
    async def enqueue(
        self, task: str, request: Any = None, /, **options: Unpack[EnqueueOptions]
    ) -> AsyncHandle[Any]: ...
    @overload
    async def enqueue(
        self, task: TypedTask[Req, Res], request: Req, /, **options: Unpack[EnqueueOptions]
    ) -> AsyncHandle[Res]: ...
    @overload
    async def enqueue(
        self, task: TypedTask[None, Res], /, **options: Unpack[EnqueueOptions]
    ) -> AsyncHandle[Res]: ...
    @overload
    async def enqueue(
        self,
        task: TaskLike[Req, Co[TaskResult[Res]]],
        request: Req,
        /,
        **options: Unpack[EnqueueOptions],
    ) -> AsyncHandle[Res]: ...
    @overload
    async def enqueue(
        self,
        task: TaskLike[Req, TaskResult[Res]],
        request: Req,
        /,
        **options: Unpack[EnqueueOptions],
    ) -> AsyncHandle[Res]: ...
    @overload
    async def enqueue(
        self, task: TaskLike[Req, Co[Res]], request: Req, /, **options: Unpack[EnqueueOptions]
    ) -> AsyncHandle[Res]: ...
    @overload
    async def enqueue(
        self, task: TaskLike[Req, Res], request: Req, /, **options: Unpack[EnqueueOptions]
    ) -> AsyncHandle[Res]: ...
    async def enqueue(
        self, task: Any, request: Any = None, /, **options: Unpack[EnqueueOptions]
    ) -> AsyncHandle[Any]:
        """As `Butler.enqueue`."""
        return AsyncHandle(await self.butler.aenqueue(task, request, **options))

    @overload
    async def enqueue_many(
        self,
        items: Iterable[tuple[type[Task[Req, Res]], Req]]
        | Iterable[tuple[FunctionTask[Any, Req, Res], Req]],
        /,
        **options: Unpack[EnqueueOptions],
    ) -> Handles[Res]: ...
    @overload
    async def enqueue_many(
        self, items: Iterable[tuple[AnyTask | str, Any]], /, **options: Unpack[EnqueueOptions]
    ) -> Handles[Any]: ...
    async def enqueue_many(
        self, items: Iterable[tuple[Any, Any]], /, **options: Unpack[EnqueueOptions]
    ) -> Handles[Any]:
        """As `Butler.enqueue_many`."""
        handles = await self.butler.aenqueue_many(items, **options)
        return [AsyncHandle(handle) for handle in handles]

    @property
    def recurring(self) -> AsyncRecurringJobs:
        """As `Butler.recurring`, with its methods awaited."""
        from butler.recurring.awaited import AsyncRecurringJobs

        return AsyncRecurringJobs(self.butler)

    async def place(self, orders: Sequence[Order]) -> Handles[Any]:
        """As `Butler.place`."""
        return [AsyncHandle(handle) for handle in await self._call(self.butler.place, orders)]

    async def place_each(self, orders: Sequence[Order]) -> HandlesOrErrors:
        """As `Butler.place_each`."""
        replies = await self._call(self.butler.place_each, orders)
        return [each if isinstance(each, Exception) else AsyncHandle(each) for each in replies]

    def handle(self, execution_id: str) -> AsyncHandle[Any]:
        """As `Butler.handle`; nothing is looked up, so nothing is awaited."""
        return AsyncHandle(self.butler.handle(execution_id))

    async def get(self, execution_id: str) -> Execution | None:
        """As `Butler.get`."""
        return await self._call(self.butler.get, execution_id)

    async def get_or_raise(self, execution_id: str) -> Execution:
        """As `Butler.get_or_raise`."""
        return await self._call(self.butler.get_or_raise, execution_id)

    async def list(self, **filters: Unpack[ListFilters]) -> Page:
        """As `Butler.list`."""
        return await self._call(partial(self.butler.list, **filters))

    async def logs(
        self, execution_id: str, *, after: int | None = None, limit: int = 1_000
    ) -> Lines:
        """As `Butler.logs`."""
        return await self._call(partial(self.butler.logs, execution_id, after=after, limit=limit))

    async def children(
        self, execution_id: str, *, cursor: str | None = None, limit: int = 100
    ) -> Page:
        """As `Butler.children`."""
        call = partial(self.butler.children, execution_id, cursor=cursor, limit=limit)
        return await self._call(call)

    async def tree(self, execution_id: str, *, depth: int = 10, size: int = 1_000) -> ExecutionTree:
        """As `Butler.tree`."""
        return await self._call(partial(self.butler.tree, execution_id, depth=depth, size=size))

    async def cancel(self, execution_id: str) -> bool:
        """As `Butler.cancel`."""
        return await self._call(self.butler.cancel, execution_id)

    async def cancel_many(self, execution_ids: Iterable[str]) -> Moves:
        """As `Butler.cancel_many`."""
        return await self._call(self.butler.cancel_many, execution_ids)

    async def retry(self, execution_id: str) -> AsyncHandle[Any]:
        """As `Butler.retry`."""
        return AsyncHandle(await self._call(self.butler.retry, execution_id))

    async def retry_many(self, execution_ids: Iterable[str]) -> Moves:
        """As `Butler.retry_many`."""
        return await self._call(self.butler.retry_many, execution_ids)

    async def rerun(self, execution_id: str) -> AsyncHandle[Any]:
        """As `Butler.rerun`."""
        return AsyncHandle(await self._call(self.butler.rerun, execution_id))

    async def delete(self, execution_id: str) -> None:
        """As `Butler.delete`."""
        await self._call(self.butler.delete, execution_id)

    async def delete_many(self, execution_ids: Iterable[str]) -> Moves:
        """As `Butler.delete_many`."""
        return await self._call(self.butler.delete_many, execution_ids)

    @property
    def limits(self) -> AsyncLimits:
        """As `Butler.limits`, awaited."""
        from butler.steering_aio import AsyncLimits

        return AsyncLimits(self.butler)

    @property
    def queues(self) -> AsyncQueues:
        """As `Butler.queues`, awaited."""
        from butler.steering_aio import AsyncQueues

        return AsyncQueues(self.butler)

    @property
    def health(self) -> AsyncHealth:
        """As `Butler.health`."""
        return AsyncHealth(self.butler)

    @property
    def alerts(self) -> AsyncAlerts:
        """As `Butler.alerts`."""
        return AsyncAlerts(self.butler)

    @property
    def alert_rules(self) -> AsyncAlertRules:
        """As `Butler.alert_rules`."""
        return AsyncAlertRules(self.butler)

    @property
    def stats(self) -> AsyncStatistics:
        """As `Butler.stats`, awaited."""
        return AsyncStatistics(self.butler)

    async def close(self) -> None:
        """As `Butler.close`; in a thread that is not one of those it closes."""
        await asyncio.to_thread(self.butler.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _call(self, method: Callable[..., T], *args: Any) -> T:
        return await self.butler.in_thread(partial(method, *args))
