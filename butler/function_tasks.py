"""Tasks written as functions: ``@task``, ``@task(...)``, ``@butler.task``.

The overloads are the ones under which mypy and pyright both infer ``Handle[Result]`` for ``def``
and ``async def``, with and without request and context, for ``R`` and ``TaskResult[R]``. With one
signature instead, mypy infers ``Handle[Never]`` for coroutines.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    TypeAlias,
    TypeVar,
    Unpack,
    overload,
)

from butler.blocking import warn_if_loop_blocked
from butler.context import TaskContext
from butler.errors import DefinitionError
from butler.injection.recipes import check_all_given, provided_parameters
from butler.task_spec import TaskSpec, spec_of_function
from butler.tasks import Binding

if TYPE_CHECKING:
    from butler.app import Butler
    from butler.handles import Handle
    from butler.joining import Placeholders
    from butler.options import EnqueueOptions, TaskOptionFields, TaskOptions
    from butler.results import TaskResult

T = TypeVar("T")
P = ParamSpec("P")
Req = TypeVar("Req")
Res = TypeVar("Res")
Fn = TypeVar("Fn", bound=Callable[..., Any])

Co: TypeAlias = Coroutine[Any, Any, T]
BareFn: TypeAlias = Callable[[], T]
ContextFn: TypeAlias = Callable[Concatenate[TaskContext, P], T]
RequestFn: TypeAlias = Callable[Concatenate[Req, P], T]


class FunctionTask(Generic[Fn, Req, Res]):
    """A decorated function. Calling it calls the function; ``fn`` is the function itself."""

    fn: Fn
    if TYPE_CHECKING:
        __call__: Fn
    else:

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            """Call the function, here and now, with nothing written to the ledger."""
            if self._provided:
                check_all_given(self.fn, args, kwargs)
            return self.fn(*args, **kwargs)

    def __init__(self, fn: Fn, spec: TaskSpec) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.spec = spec
        self.binding = Binding()
        self._provided = bool(provided_parameters(fn))

    @property
    def _butler(self) -> Butler:
        return self.binding.the_butler(self.name, module=getattr(self.fn, "__module__", ""))

    @property
    def name(self) -> str:
        """The name executions carry."""
        return self.spec.name

    @property
    def options(self) -> TaskOptions:
        """Its options, checked, with their defaults."""
        return self.spec.options

    @property
    def request_type(self) -> Any:
        """The type of its request; NoneType without one."""
        return self.spec.request_type

    @property
    def result_type(self) -> Any:
        """The type of its result, ``TaskResult`` taken off."""
        return self.spec.result_type

    @overload
    def enqueue(
        self: FunctionTask[Any, None, Res], /, **options: Unpack[EnqueueOptions]
    ) -> Handle[Res]: ...
    @overload
    def enqueue(self, request: Req, /, **options: Unpack[EnqueueOptions]) -> Handle[Res]: ...
    def enqueue(self, request: Any = None, /, **options: Unpack[EnqueueOptions]) -> Handle[Any]:
        """Enqueue it with the Butler it is registered with; as `Butler.enqueue`."""
        warn_if_loop_blocked("task.enqueue()", awaited="await task.aenqueue(...)")
        return self._butler.enqueue(self, request, **options)

    @overload
    async def aenqueue(
        self: FunctionTask[Any, None, Res], /, **options: Unpack[EnqueueOptions]
    ) -> Handle[Res]: ...
    @overload
    async def aenqueue(self, request: Req, /, **options: Unpack[EnqueueOptions]) -> Handle[Res]: ...
    async def aenqueue(
        self, request: Any = None, /, **options: Unpack[EnqueueOptions]
    ) -> Handle[Any]:
        """`enqueue` for a coroutine."""
        return await self._butler.aenqueue(self, request, **options)

    @overload
    def statement(
        self: FunctionTask[Any, None, Res],
        /,
        *,
        placeholders: Placeholders = "$1",
        **options: Unpack[EnqueueOptions],
    ) -> tuple[str, tuple[str | None, ...]]: ...
    @overload
    def statement(
        self,
        request: Req,
        /,
        *,
        placeholders: Placeholders = "$1",
        **options: Unpack[EnqueueOptions],
    ) -> tuple[str, tuple[str | None, ...]]: ...
    def statement(
        self,
        request: Any = None,
        /,
        *,
        placeholders: Placeholders = "$1",
        **options: Unpack[EnqueueOptions],
    ) -> tuple[str, tuple[str | None, ...]]:
        """The SQL that enqueues it, for a driver of yours; as `Butler.statement`."""
        return self._butler.statement(self, request, placeholders=placeholders, **options)

    def handle(self, execution_id: str) -> Handle[Res]:
        """The handle of an execution of this task, by its id; nothing is looked up."""
        return self._butler.typed_handle(execution_id, self.spec)

    def __repr__(self) -> str:
        return f"<task {self.name!r}>"


class TaskDecorator:
    """``@task``, ``@task(...)``: makes a function a task; see `TaskOptionFields` for the options.

    As an attribute of a `Butler` it registers the task there too.
    """

    def __init__(
        self, butler: Butler | None = None, options: TaskOptionFields | None = None
    ) -> None:
        self._butler = butler
        self._options: TaskOptionFields = options or {}

    # No request.
    @overload
    def __call__(
        self, fn: BareFn[Co[TaskResult[Res]]], /
    ) -> FunctionTask[BareFn[Co[TaskResult[Res]]], None, Res]: ...
    @overload
    def __call__(
        self, fn: BareFn[TaskResult[Res]], /
    ) -> FunctionTask[BareFn[TaskResult[Res]], None, Res]: ...
    @overload
    def __call__(self, fn: BareFn[Co[Res]], /) -> FunctionTask[BareFn[Co[Res]], None, Res]: ...
    @overload
    def __call__(self, fn: BareFn[Res], /) -> FunctionTask[BareFn[Res], None, Res]: ...
    # The context alone.
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, fn: ContextFn[P, Co[TaskResult[Res]]], /
    ) -> FunctionTask[ContextFn[P, Co[TaskResult[Res]]], None, Res]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, fn: ContextFn[P, TaskResult[Res]], /
    ) -> FunctionTask[ContextFn[P, TaskResult[Res]], None, Res]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, fn: ContextFn[P, Co[Res]], /
    ) -> FunctionTask[ContextFn[P, Co[Res]], None, Res]: ...
    @overload
    def __call__(self, fn: ContextFn[P, Res], /) -> FunctionTask[ContextFn[P, Res], None, Res]: ...
    # The request first.
    @overload
    def __call__(
        self, fn: RequestFn[Req, P, Co[TaskResult[Res]]], /
    ) -> FunctionTask[RequestFn[Req, P, Co[TaskResult[Res]]], Req, Res]: ...
    @overload
    def __call__(
        self, fn: RequestFn[Req, P, TaskResult[Res]], /
    ) -> FunctionTask[RequestFn[Req, P, TaskResult[Res]], Req, Res]: ...
    @overload
    def __call__(
        self, fn: RequestFn[Req, P, Co[Res]], /
    ) -> FunctionTask[RequestFn[Req, P, Co[Res]], Req, Res]: ...
    @overload
    def __call__(
        self, fn: RequestFn[Req, P, Res], /
    ) -> FunctionTask[RequestFn[Req, P, Res], Req, Res]: ...
    # Options.
    @overload
    def __call__(self, **options: Unpack[TaskOptionFields]) -> TaskDecorator: ...
    def __call__(self, *args: Any, **options: Any) -> Any:
        """Decorate a function, or take options and decorate then; raises `DefinitionError`."""
        if not args:
            merged: TaskOptionFields = {**self._options, **options}  # type: ignore[typeddict-item]
            return TaskDecorator(self._butler, merged)
        if len(args) > 1 or options or isinstance(args[0], str):
            raise DefinitionError(
                "@task takes its options by name: @task(name=..., timeout_s=...), "
                f"got {args!r} {options or ''}".rstrip()
            )
        made: FunctionTask[Any, Any, Any] = FunctionTask(
            args[0], spec_of_function(args[0], self._options)
        )
        if self._butler is not None:
            self._butler.register(made)
        return made


task = TaskDecorator()
