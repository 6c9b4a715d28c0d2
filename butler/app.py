"""`Butler`: the application's one object, through which tasks are registered and enqueued.

Making one costs nothing: no connection is made, no driver loaded and no setting read before
something needs it, so that it can stand at the top of a module that everybody imports.
"""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from butler.app_name import module_of_caller
from butler.backends import Backends
from butler.clock import SYSTEM_CLOCK, MovableClock
from butler.errors import ButlerError, TaskNotBound
from butler.extending import Extensible
from butler.fair_keys import check_fair_queues
from butler.function_tasks import FunctionTask, TaskDecorator
from butler.handles import Handle
from butler.including import Include, watch
from butler.known_tasks import KnownTasks
from butler.monitoring.owner import MonitoringOwner
from butler.placing import Placer
from butler.recurring.owner import RecurringOwner
from butler.registry import TaskRegistry
from butler.task_spec import TaskSpec, spec_of_instance, spec_of_object
from butler.tasks import Binding, Task, class_binding, class_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager

    from redis import Redis

    from butler.aio import AsyncButler
    from butler.api_tokens import ApiTokens
    from butler.clock import Clock
    from butler.fair_keys import FairBy
    from butler.lifespan import LifespanFn
    from butler.listening import Listener
    from butler.parks import Parks
    from butler.pushing import Pusher
    from butler.queues import QueueWire
    from butler.settings import Settings
    from butler.steering import Limits, Queues
    from butler.storage.base import Storage
    from butler.storage.records import TaskDefinition

T = TypeVar("T")


class Butler(Placer, RecurringOwner, MonitoringOwner):
    """Registers tasks, enqueues them, and looks after their executions.

    ``redis_url`` and ``database_url`` default to the settings (``BUTLER_REDIS_URL``,
    ``BUTLER_DATABASE_URL``, ``butler.toml``). ``redis`` and ``storage`` are used instead of what
    the URLs name; they stay the caller's to close. ``name`` is the application's, by default that
    of the module that makes its Butler: it marks what code declares. ``include`` names the modules
    in which tasks are, or packages whose ``tasks`` modules are meant; they are imported when that
    is first needed (`import_tasks`). ``fair_by`` is what tasks call so, by queue, for those that do
    not say it themselves. ``lifespan`` is what `Butler.lifespan` takes. Safe to use from
    many threads, and after a fork.
    """

    def __init__(
        self,
        redis_url: str | None = None,
        database_url: str | None = None,
        *,
        name: str | None = None,
        include: Iterable[str] = (),
        fair_by: Mapping[str, FairBy] | None = None,
        lifespan: LifespanFn | None = None,
        redis: Redis | None = None,
        storage: Storage | None = None,
        settings: Settings | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.name = name or module_of_caller()
        self._urls = {"redis_url": redis_url, "database_url": database_url}
        self._settings = settings
        self._clock = clock
        self._backends = Backends(lambda: self.settings, storage=storage, redis=redis, clock=clock)
        self._known = KnownTasks(self._read_definitions, clock=clock)
        self._recipes = {}
        Extensible.__init__(self, lifespan)
        self.registry = TaskRegistry()
        self.include = Include(include)
        self.fair_by = check_fair_queues(fair_by)
        self.closed = False
        watch(self)

    @classmethod
    def from_env(cls) -> Self:
        """A Butler whose settings are read now; raises `SettingsError` when a URL is missing."""
        butler = cls()
        butler.settings.need_redis_url()
        butler.settings.need_database_url()
        return butler

    @classmethod
    def in_memory(cls) -> Self:
        """A Butler whose ledger and queues live in this process alone; for tests and trials."""
        from butler.in_memory import memory_redis
        from butler.storage.memory import MemoryStorage

        # One clock for both, which tests may move to what is due later.
        clock = MovableClock()
        return cls(redis=memory_redis(), storage=MemoryStorage(clock=clock), clock=clock)

    def worker(
        self, *, queues: Iterable[str] = (), concurrency: int = 4
    ) -> AbstractContextManager[None]:
        """``with butler.worker():`` runs a worker in threads of this process; for tests and trials.

        ``queues`` defaults to those of the registered tasks. In memory it also does the
        scheduler's part, so that delays and retries work. Leaving the block drains it.
        """
        from butler.testing.background import background_worker

        return background_worker(self, queues=tuple(queues), concurrency=concurrency)

    @property
    def settings(self) -> Settings:
        """The settings, read at first use; the URLs passed to the constructor come first."""
        if self._settings is None:
            from butler.settings import load_settings

            self._settings = load_settings(**self._urls)
        return self._settings

    @property
    def storage(self) -> Storage:
        """The ledger, prepared at first use."""
        self._check_open()
        return self._backends.storage

    @property
    def storage_apart(self) -> Storage:
        """The ledger over a connection of its own, for who must not wait for all others here."""
        self._check_open()
        return self._backends.storage_apart

    @property
    def redis(self) -> Redis:
        """The Redis client, with ordinary timeouts."""
        self._check_open()
        return self._backends.redis

    @property
    def wire(self) -> QueueWire:
        """The queues, as workers use them."""
        self._check_open()
        return self._backends.wire

    @property
    def pusher(self) -> Pusher:
        """The queues, as producers use them: never for longer than half a second."""
        self._check_open()
        return self._backends.pusher

    @property
    def listener(self) -> Listener:
        """Hears what becomes of executions, for whoever waits in this process."""
        self._check_open()
        return self._backends.listener

    @property
    def limits(self) -> Limits:
        """The limits of the ledger: what runs under them, and what operators say about them."""
        from butler.steering import Limits

        return Limits(lambda: self.storage, self._parks)

    @property
    def queues(self) -> Queues:
        """Pausing queues, letting them go on, and limiting them as a whole."""
        from butler.steering import Queues

        return Queues(lambda: self.storage, self._parks)

    @property
    def tokens(self) -> ApiTokens:
        """Who may use the REST API."""
        from butler.api_tokens import ApiTokens

        return ApiTokens(lambda: self.storage)

    @property
    def clock(self) -> Clock:
        """What time it is."""
        return self._clock

    @property
    def aio(self) -> AsyncButler:
        """The same Butler for coroutines: same names, awaited; same registry, same pools."""
        from butler.aio import AsyncButler

        return AsyncButler(self)

    @property
    def task(self) -> TaskDecorator:
        """``@butler.task`` or ``@butler.task(...)``: makes a function a task and registers it."""
        return TaskDecorator(self)

    def register(self, task: T) -> T:
        """Register a decorated function, a `Task` class or an object with ``execute``.

        Returns what it was given, so it also decorates classes; doing it twice changes nothing.
        Raises `DefinitionError`, also when another task has the name.
        """
        self._add(task, claim=True)
        return task

    def register_included(self, task: object) -> None:
        """`register` for what was found in an included module: another Butler may have it too."""
        self._add(task, claim=False)

    def import_tasks(self) -> None:
        """Import the modules that ``include`` names and register their tasks; once.

        Done at the start of workers and commands, and when an enqueue needs to know a task.
        Raises `AppNotFound` for a module that is not there, and what importing one raises.
        """
        self.include.load(self)

    def tasks(self, *, tag: str | None = None) -> list[TaskDefinition]:
        """The tasks registered with this Butler, by name; with ``tag`` those that carry it."""
        self.import_tasks()
        defaults = self.settings.task_defaults
        return [
            spec.definition(defaults=defaults, fair_queues=self.fair_by)
            for spec in self.registry.with_tag(tag)
        ]

    def typed_handle(self, execution_id: str, spec: TaskSpec | None) -> Handle[Any]:
        """The handle of an execution of a known task: its result is of the task's type."""
        return Handle(self, execution_id, result=spec.result if spec else None)

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Make a blocking call in one of the few threads this Butler keeps for coroutines.

        It runs in the coroutine's context variables, and to its end if the coroutine is cancelled.
        """
        self._check_open()
        run = partial(copy_context().run, call)
        return await asyncio.get_running_loop().run_in_executor(self._backends.threads, run)

    def close(self) -> None:
        """Give back connections; its tasks are no longer bound to it. Closing twice is fine."""
        self.closed = True
        self._backends.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _add(self, task: object, *, claim: bool) -> None:
        spec, sources, binding = _definition(task)
        self.registry.add(spec, sources=sources)
        if binding is not None:
            binding.add(self, claim=claim)

    def _spec_of(self, task: Any) -> TaskSpec | None:
        """The registered task; None for a name that is not registered here."""
        find = self.registry.find if isinstance(task, str) else self.registry.find_source
        spec = find(task)
        if spec is None:
            self.import_tasks()
            spec = find(task)
        if isinstance(task, str):
            return spec
        if spec is None:
            name = getattr(task, "name", None) or getattr(task, "__name__", repr(task))
            raise TaskNotBound(
                f"{name} is not registered with this Butler, so its workers would not know it: "
                f"call butler.register({name}), or name its module in Butler(include=[...])"
            )
        return spec

    def _read_definitions(self) -> list[TaskDefinition]:
        return self.storage.task_definitions()

    def _parks(self) -> Parks:
        from butler.parks import Parks

        return Parks(self.redis)

    def _check_open(self) -> None:
        if self.closed:
            raise ButlerError("this Butler is closed; make a new one")


def _definition(task: Any) -> tuple[TaskSpec, tuple[object, ...], Binding | None]:
    """The spec, the objects it can be enqueued by, and what has to know its Butlers."""
    if isinstance(task, FunctionTask):
        return task.spec, (task,), task.binding
    if isinstance(task, type) and issubclass(task, Task):
        return class_spec(task, instantiable=True), (task,), class_binding(task)
    if isinstance(task, Task):
        kind = type(task)
        spec = spec_of_instance(task, class_spec(kind))
        return spec, (task, kind), class_binding(kind)
    return spec_of_object(task), (task,), None
