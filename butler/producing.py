"""The typed face of everything that enqueues: a `Butler`, and the context of a running task.

The overloads are the ones under which mypy and pyright both infer ``Handle[Result]`` and refuse a
wrong request, for each form of task. One signature with unions would be shorter, but then mypy
infers ``Handle[Never]`` for coroutines. ``tests/typing`` holds them in place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, Unpack, overload

from butler.blocking import warn_if_loop_blocked
from butler.record import record

Req = TypeVar("Req")
Res = TypeVar("Res")

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Mapping, Sequence

    from butler.function_tasks import FunctionTask
    from butler.handles import Handle
    from butler.joining import Transaction
    from butler.options import EnqueueOptions
    from butler.results import TaskResult
    from butler.tasks import Task, TaskLike

    TypedTask: TypeAlias = type[Task[Req, Res]] | FunctionTask[Any, Req, Res] | Task[Req, Res]
    AnyTask: TypeAlias = TypedTask[Any, Any] | TaskLike[Any, Any]


@record(frozen=True, slots=True, kw_only=True)
class Order:
    """One enqueue as it was asked for, nothing of it checked yet.

    ``traceparent`` is the trace it belongs to, for a middleware to set (W3C Trace Context).
    ``execution_id`` is there where the execution is to have an id that was chosen before.
    """

    task: Any
    request: Any
    options: Mapping[str, Any]
    traceparent: str | None = None
    execution_id: str | None = None

    @property
    def task_name(self) -> str:
        """What the task is called, whatever it was given as."""
        if isinstance(self.task, str):
            return self.task
        return str(getattr(self.task, "name", None) or type(self.task).__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """The execution on whose behalf another one is enqueued."""

    execution_id: str
    user_id: str | None


class Producer(ABC):
    """Enqueues tasks: by what was registered, or by name."""

    __slots__ = ()

    @overload
    def enqueue(
        self, task: str, request: Any = None, /, **options: Unpack[EnqueueOptions]
    ) -> Handle[Any]: ...
    @overload
    def enqueue(
        self, task: TypedTask[Req, Res], request: Req, /, **options: Unpack[EnqueueOptions]
    ) -> Handle[Res]: ...
    @overload
    def enqueue(
        self, task: TypedTask[None, Res], /, **options: Unpack[EnqueueOptions]
    ) -> Handle[Res]: ...
    @overload
    def enqueue(
        self,
        task: TaskLike[Req, Coroutine[Any, Any, TaskResult[Res]]],
        request: Req,
        /,
        **options: Unpack[EnqueueOptions],
    ) -> Handle[Res]: ...
    @overload
    def enqueue(
        self,
        task: TaskLike[Req, TaskResult[Res]],
        request: Req,
        /,
        **options: Unpack[EnqueueOptions],
    ) -> Handle[Res]: ...
    @overload
    def enqueue(
        self,
        task: TaskLike[Req, Coroutine[Any, Any, Res]],
        request: Req,
        /,
        **options: Unpack[EnqueueOptions],
    ) -> Handle[Res]: ...
    @overload
    def enqueue(
        self, task: TaskLike[Req, Res], request: Req, /, **options: Unpack[EnqueueOptions]
    ) -> Handle[Res]: ...
    def enqueue(
        self, task: Any, request: Any = None, /, **options: Unpack[EnqueueOptions]
    ) -> Handle[Any]:
        """Write an execution durably, then put it on its queue; returns its handle.

        Raises `InvalidRequest`, `InvalidOption`, `UnknownTask` or `TaskNotBound` with nothing
        written, `StorageUnavailable` when the ledger is away, `EnqueueUnknown` when it went away
        in mid-commit. A Redis that is away is no error: the scheduler pushes it later. With
        ``transaction`` it is part of that transaction, and raises `TransactionRefused` where it
        cannot be.
        """
        warn_if_loop_blocked("enqueue()", awaited="await ….aenqueue(...)")
        transaction = options.pop("transaction", None)
        order = Order(task=task, request=request, options=options)
        return self._place([order], transaction=transaction)[0]

    @overload
    async def aenqueue(
        self, task: str, request: Any = None, /, **options: Unpack[EnqueueOptions]
    ) -> Handle[Any]: ...
    @overload
    async def aenqueue(
        self, task: TypedTask[Req, Res], request: Req, /, **options: Unpack[EnqueueOptions]
    ) -> Handle[Res]: ...
    @overload
    async def aenqueue(
        self, task: TypedTask[None, Res], /, **options: Unpack[EnqueueOptions]
    ) -> Handle[Res]: ...
    @overload
    async def aenqueue(
        self,
        task: TaskLike[Req, Coroutine[Any, Any, TaskResult[Res]]],
        request: Req,
        /,
        **options: Unpack[EnqueueOptions],
    ) -> Handle[Res]: ...
    @overload
    async def aenqueue(
        self,
        task: TaskLike[Req, TaskResult[Res]],
        request: Req,
        /,
        **options: Unpack[EnqueueOptions],
    ) -> Handle[Res]: ...
    @overload
    async def aenqueue(
        self,
        task: TaskLike[Req, Coroutine[Any, Any, Res]],
        request: Req,
        /,
        **options: Unpack[EnqueueOptions],
    ) -> Handle[Res]: ...
    @overload
    async def aenqueue(
        self, task: TaskLike[Req, Res], request: Req, /, **options: Unpack[EnqueueOptions]
    ) -> Handle[Res]: ...
    async def aenqueue(
        self, task: Any, request: Any = None, /, **options: Unpack[EnqueueOptions]
    ) -> Handle[Any]:
        """`enqueue` for a coroutine: done in a thread, so that the event loop goes on."""
        transaction = options.pop("transaction", None)
        order = Order(task=task, request=request, options=options)
        return (await self._aplace([order], transaction=transaction))[0]

    @overload
    def enqueue_many(
        self,
        items: Iterable[tuple[type[Task[Req, Res]], Req]]
        | Iterable[tuple[FunctionTask[Any, Req, Res], Req]],
        /,
        **options: Unpack[EnqueueOptions],
    ) -> list[Handle[Res]]: ...
    @overload
    def enqueue_many(
        self, items: Iterable[tuple[AnyTask | str, Any]], /, **options: Unpack[EnqueueOptions]
    ) -> list[Handle[Any]]: ...
    def enqueue_many(
        self, items: Iterable[tuple[Any, Any]], /, **options: Unpack[EnqueueOptions]
    ) -> list[Handle[Any]]:
        """Enqueue many ``(task, request)`` pairs under the same options; handles in their order.

        All are checked before any is written. They are written in chunks of up to 1,000, each
        atomic: an error after the first chunk carries a note saying how many are written.
        """
        warn_if_loop_blocked("enqueue_many()", awaited="await ….aenqueue_many(...)")
        transaction = options.pop("transaction", None)
        return self._place(
            [Order(task=task, request=request, options=options) for task, request in items],
            transaction=transaction,
        )

    @overload
    async def aenqueue_many(
        self,
        items: Iterable[tuple[type[Task[Req, Res]], Req]]
        | Iterable[tuple[FunctionTask[Any, Req, Res], Req]],
        /,
        **options: Unpack[EnqueueOptions],
    ) -> list[Handle[Res]]: ...
    @overload
    async def aenqueue_many(
        self, items: Iterable[tuple[AnyTask | str, Any]], /, **options: Unpack[EnqueueOptions]
    ) -> list[Handle[Any]]: ...
    async def aenqueue_many(
        self, items: Iterable[tuple[Any, Any]], /, **options: Unpack[EnqueueOptions]
    ) -> list[Handle[Any]]:
        """`enqueue_many` for a coroutine."""
        transaction = options.pop("transaction", None)
        return await self._aplace(
            [Order(task=task, request=request, options=options) for task, request in items],
            transaction=transaction,
        )

    @abstractmethod
    def _place(
        self,
        orders: Sequence[Order],
        *,
        parent: Parent | None = None,
        transaction: Transaction | None = None,
    ) -> list[Handle[Any]]:
        """Check, write and push; one handle each, in order."""

    @abstractmethod
    async def _aplace(
        self,
        orders: Sequence[Order],
        *,
        parent: Parent | None = None,
        transaction: Transaction | None = None,
    ) -> list[Handle[Any]]:
        """`_place` in a thread."""
