"""`Extensible`: where an application puts its own code into a `Butler`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from butler.errors import DefinitionError
from butler.injection.injector import Injector
from butler.lifespan import Lifespan
from butler.middleware import MiddlewareChain

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from butler.middleware import Middleware
    from butler.registry import TaskRegistry

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type[Any])


class Extensible:
    """A lifespan around a worker's life, middleware around enqueues and attempts, overrides.

    ``life`` and ``injector`` are for those who run tasks: the hook with its state, and what is
    provided.
    """

    registry: TaskRegistry

    def __init__(self, lifespan: Callable[..., Any] | None) -> None:
        self.life = Lifespan()
        self.injector = Injector()
        self._chain = MiddlewareChain()
        if lifespan is not None:
            self.life.use(lifespan)

    @property
    def state(self) -> Any:
        """What the lifespan yielded, in a worker; raises `ButlerError` elsewhere."""
        return self.life.state

    def lifespan(self, fn: F) -> F:
        """``@butler.lifespan``: a ``def`` or ``async def`` that yields ``context.state`` once.

        It runs in each worker process, before its first and after its last attempt; an
        ``async def`` on the event loop of the tasks. A worker whose lifespan raises at the start
        ends with exit code 3. Raises `DefinitionError` for a second one.
        """
        self.life.use(fn)
        return fn

    def middleware(self, cls: C) -> C:
        """``@butler.middleware`` above a class: adds an object of it, made without arguments."""
        if not isinstance(cls, type):
            raise DefinitionError(
                f"@butler.middleware stands above a class with enqueue, or attempt and aattempt; "
                f"got {cls!r}; add_middleware(...) takes an object"
            )
        self.add_middleware(cls())
        return cls

    @property
    def wraps_enqueues(self) -> bool:
        """Whether there is middleware around enqueues, which wants to see each by itself."""
        return bool(self._chain.around_enqueue)

    def add_middleware(self, middleware: Middleware) -> None:
        """Put an object around enqueues or attempts; see `butler.middleware`.

        The first one added is the outermost. Raises `DefinitionError` for an object without a
        hook, or with only one of ``attempt`` and ``aattempt``.
        """
        self._chain.add(middleware)
        self.registry.wrap(self._chain.around)

    def override(self, provider: Callable[..., Any], fake: Any) -> AbstractContextManager[None]:
        """``with butler.override(get_db, fake):`` puts a fake in a provider's place; for tests.

        A function or class is called as a provider; any other object, a Mock too, is the value
        itself. Holds for all threads. Raises `DefinitionError` for what is no provider.
        """
        return self.injector.override(provider, fake)
