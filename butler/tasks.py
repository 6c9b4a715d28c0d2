"""Tasks written as classes or as plain objects; ``function_tasks`` has the decorated functions.

Each form is checked where it is defined, and knows the Butlers it was registered with; that is
how ``SendEmail.enqueue(...)`` finds its way without a global.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Coroutine, Sequence
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    ParamSpec,
    Protocol,
    TypeVar,
    Unpack,
    overload,
)

from butler.blocking import warn_if_loop_blocked
from butler.errors import DefinitionError, TaskNotBound
from butler.executions import Priority
from butler.injection.recipes import provided_parameters
from butler.options import (
    DEFAULT_RETRY,
    DEFAULT_TIMEOUT_S,
    EnqueueOptions,
    Isolation,
    LimitKey,
    PriorityLike,
    TaskOptions,
    UniqueKey,
)
from butler.queue_names import DEFAULT_QUEUE
from butler.task_spec import TaskSpec, spec_of_class

if TYPE_CHECKING:
    from datetime import timedelta

    from butler.app import Butler
    from butler.context import TaskContext
    from butler.fair_keys import FairBy
    from butler.handles import Handle
    from butler.joining import Placeholders
    from butler.results import TaskResult
    from butler.retries import RetryPolicy

T = TypeVar("T")
P = ParamSpec("P")
Req = TypeVar("Req")
Res = TypeVar("Res")
Fn = TypeVar("Fn", bound=Callable[..., Any])
Req_contra = TypeVar("Req_contra", contravariant=True)
Returned_co = TypeVar("Returned_co", covariant=True)

Co = Coroutine[Any, Any, T]


class TaskLike(Protocol[Req_contra, Returned_co]):
    """Any object that can be registered as a task.

    ``execute`` must be annotated; it may be ``async def``. Attributes that are called like options
    (``name``, ``timeout_s``, ``tags`` …) are taken as such. The object serves every attempt, from
    several threads at once.
    """

    def execute(self, request: Req_contra, context: TaskContext, /) -> Returned_co:
        """Run one attempt."""
        ...


class Binding:
    """Which open Butlers a task is registered with.

    ``claimed`` tells whether somebody registered it on purpose; what only an ``include`` found may
    be found by another Butler's, too.
    """

    __slots__ = ("_butlers", "claimed")

    def __init__(self) -> None:
        self._butlers: weakref.WeakSet[Butler] = weakref.WeakSet()
        self.claimed = False

    def add(self, butler: Butler, *, claim: bool) -> None:
        """The task was registered there."""
        self._butlers.add(butler)
        self.claimed = self.claimed or claim

    def the_butler(self, task: str, *, module: str) -> Butler:
        """The only one; raises `TaskNotBound`, saying what to do, when there is none or another.

        ``module`` is where the task is defined: a Butler that includes it may not have yet.
        """
        from butler.including import load_includes_for

        load_includes_for(module)
        butlers = [butler for butler in self._butlers if not butler.closed]
        if len(butlers) == 1:
            return butlers[0]
        if butlers:
            raise TaskNotBound(
                f"{task} is registered with {len(butlers)} Butlers: say which, "
                f"butler.enqueue({task}, request), or close those that are no longer used"
            )
        raise TaskNotBound(
            f"{task} is not registered with an open Butler: call butler.register({task}), or name "
            f"its module in Butler(include=[{module!r}]); then {task}.enqueue(request) and "
            f"butler.enqueue({task}, request) both work"
        )


class Task(Generic[Req, Res]):
    """Base of a task written as a class: ``class SendEmail(Task[EmailRequest, Receipt])``.

    Set options as class attributes; see `TaskOptionFields` for what they mean. ``execute`` may be
    ``async def``. Each attempt gets an instance of its own, made of what its ``__init__`` marks
    with `Provide`; a class whose constructor needs other arguments is registered as an instance,
    ``butler.register(SendEmail(mailer))``, which then serves all attempts. A ``unique_key`` that
    depends on the request is a ``@staticmethod``.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    tags: ClassVar[Sequence[str]] = ()
    queue: ClassVar[str] = DEFAULT_QUEUE
    priority: ClassVar[PriorityLike] = Priority.NORMAL
    retry: ClassVar[RetryPolicy] = DEFAULT_RETRY
    timeout_s: ClassVar[float | timedelta | None] = DEFAULT_TIMEOUT_S
    isolation: ClassVar[Isolation | None] = None
    memory_limit_mb: ClassVar[int | None] = None
    unique_key: UniqueKey | None = None
    max_concurrency: ClassVar[int | None] = None
    concurrency_key: LimitKey | None = None
    rate: ClassVar[str | None] = None
    rate_key: LimitKey | None = None
    rate_burst: ClassVar[int | None] = None
    fair_by: FairBy | None = None
    retention_days: ClassVar[float | None] = None
    aliases: ClassVar[Sequence[str]] = ()

    options: ClassVar[TaskOptions]
    request_type: ClassVar[Any]
    result_type: ClassVar[Any]
    _butler_spec: ClassVar[TaskSpec | None] = None
    _butler_binding: ClassVar[Binding]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._butler_binding = Binding()
        cls._butler_spec = spec = spec_of_class(cls, Task)
        if spec is not None:
            cls.name, cls.description, cls.options = spec.name, spec.description, spec.options
            cls.request_type, cls.result_type = spec.request_type, spec.result_type

    def execute(
        self, request: Req, context: TaskContext
    ) -> Res | TaskResult[Res] | Co[Res] | Co[TaskResult[Res]]:
        """Run one attempt; return the result, or a `TaskResult` when there is more to say."""
        raise NotImplementedError

    @overload
    @classmethod
    def enqueue(
        cls: type[Task[None, Res]], /, **options: Unpack[EnqueueOptions]
    ) -> Handle[Res]: ...
    @overload
    @classmethod
    def enqueue(cls, request: Req, /, **options: Unpack[EnqueueOptions]) -> Handle[Res]: ...
    @classmethod
    def enqueue(cls, request: Any = None, /, **options: Unpack[EnqueueOptions]) -> Handle[Any]:
        """Enqueue it with the Butler it is registered with; as `Butler.enqueue`."""
        warn_if_loop_blocked("task.enqueue()", awaited="await task.aenqueue(...)")
        return cls._the_butler().enqueue(cls, request, **options)

    @overload
    @classmethod
    async def aenqueue(
        cls: type[Task[None, Res]], /, **options: Unpack[EnqueueOptions]
    ) -> Handle[Res]: ...
    @overload
    @classmethod
    async def aenqueue(cls, request: Req, /, **options: Unpack[EnqueueOptions]) -> Handle[Res]: ...
    @classmethod
    async def aenqueue(
        cls, request: Any = None, /, **options: Unpack[EnqueueOptions]
    ) -> Handle[Any]:
        """`enqueue` for a coroutine."""
        return await cls._the_butler().aenqueue(cls, request, **options)

    @overload
    @classmethod
    def statement(
        cls: type[Task[None, Res]],
        /,
        *,
        placeholders: Placeholders = "$1",
        **options: Unpack[EnqueueOptions],
    ) -> tuple[str, tuple[str | None, ...]]: ...
    @overload
    @classmethod
    def statement(
        cls,
        request: Req,
        /,
        *,
        placeholders: Placeholders = "$1",
        **options: Unpack[EnqueueOptions],
    ) -> tuple[str, tuple[str | None, ...]]: ...
    @classmethod
    def statement(
        cls,
        request: Any = None,
        /,
        *,
        placeholders: Placeholders = "$1",
        **options: Unpack[EnqueueOptions],
    ) -> tuple[str, tuple[str | None, ...]]:
        """The SQL that enqueues it, for a driver of yours; as `Butler.statement`."""
        butler = cls._butler_binding.the_butler(cls.__name__, module=cls.__module__)
        return butler.statement(cls, request, placeholders=placeholders, **options)

    @classmethod
    def handle(cls, execution_id: str) -> Handle[Res]:
        """The handle of an execution of this task, by its id; nothing is looked up."""
        return cls._the_butler().typed_handle(execution_id, cls._butler_spec)

    @classmethod
    def _the_butler(cls) -> Butler:
        return cls._butler_binding.the_butler(cls.__name__, module=cls.__module__)


def class_spec(cls: type[Task[Any, Any]], *, instantiable: bool = False) -> TaskSpec:
    """The spec of a task class; raises `DefinitionError` for an abstract one.

    With ``instantiable`` also for one that cannot be made without arguments.
    """
    spec = cls.__dict__.get("_butler_spec")
    if not isinstance(spec, TaskSpec):
        raise DefinitionError(
            f"{cls.__name__} is abstract: it needs Task[Request, Result] without type variables, "
            "and an execute(self, request, context)"
        )
    if instantiable:
        try:
            inspect.signature(cls).bind(**provided_parameters(cls))
        except TypeError as error:
            raise DefinitionError(
                f"{cls.__name__}() cannot be made for each attempt: {error}; "
                f"mark it with Provide(...), or register an instance, "
                f"butler.register({cls.__name__}(...)), which serves them all"
            ) from None
    return spec


def class_binding(cls: type[Task[Any, Any]]) -> Binding:
    """Which Butlers a task class is registered with."""
    return cls._butler_binding
