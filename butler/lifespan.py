"""`Lifespan`: what an application opens when a worker process starts and closes when it ends."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from butler.errors import ButlerError, DefinitionError
from butler.injection.opened import abegin, afinish, begin, finish

if TYPE_CHECKING:
    from butler.app import Butler

LifespanFn = Callable[..., Iterator[Any]] | Callable[..., AsyncIterator[Any]] | Callable[..., Any]
"""A function that yields once; what it yields is ``context.state``. Takes the Butler or nothing."""

F = TypeVar("F", bound=Callable[..., Any])


class Lifespan:
    """One Butler's hook, and the state it made in this process.

    Where it is async it must be opened and closed on the event loop on which tasks run, so that
    what it makes belongs to that loop.
    """

    def __init__(self) -> None:
        self._fn: Callable[..., Any] | None = None
        self._generator: Any = None
        self._state: Any = None

    def use(self, fn: Callable[..., Any]) -> None:
        """Make this the hook; raises `DefinitionError` for a second one, and for what never works.

        ``@contextmanager`` and ``@asynccontextmanager`` may stand above it or not.
        """
        if self._fn is not None:
            raise DefinitionError(
                f"this Butler has a lifespan already, {self._fn.__qualname__}: open and close "
                "what both do in one function"
            )
        is_manager = getattr(fn, "__globals__", {}).get("__name__") == "contextlib"
        written = inspect.unwrap(fn) if is_manager else fn
        if not (inspect.isgeneratorfunction(written) or inspect.isasyncgenfunction(written)):
            raise DefinitionError(
                f"lifespan must be a def or async def that yields once, got {fn!r}"
            )
        try:
            inspect.signature(written).bind(*self._arguments(written, None))
        except TypeError as error:
            raise DefinitionError(
                f"lifespan {written.__qualname__} must take the Butler, or nothing: {error}"
            ) from None
        self._fn = written

    @property
    def is_async(self) -> bool:
        """Whether it needs an event loop."""
        return inspect.isasyncgenfunction(self._fn)

    @property
    def state(self) -> Any:
        """What the hook yielded; raises `ButlerError` where it does not run."""
        if self._generator is None:
            missing = "it runs in workers only" if self._fn else "this Butler has none"
            raise ButlerError(
                f"there is no state here, because it comes from the lifespan and {missing}: "
                "Butler(lifespan=...), or make_context(state=...) in a test"
            )
        return self._state

    def open(self, butler: Butler) -> None:
        """Run the hook up to its ``yield``; raises what it raises. Nothing without a hook."""
        if self._fn is not None:
            generator = self._fn(*self._arguments(self._fn, butler))
            self._state = begin(generator, self._fn.__qualname__)
            self._generator = generator

    async def aopen(self, butler: Butler) -> None:
        """`open` for either kind of hook, on the event loop."""
        if not self.is_async:
            return self.open(butler)
        assert self._fn is not None
        generator = self._fn(*self._arguments(self._fn, butler))
        self._state = await abegin(generator, self._fn.__qualname__)
        self._generator = generator
        return None

    def close(self) -> None:
        """Run what follows the ``yield``; raises what it raises. Closing twice is fine."""
        generator = self._forget()
        if generator is not None and (error := finish(generator, None)) is not None:
            raise error

    async def aclose(self) -> None:
        """`close` for either kind of hook, on the event loop."""
        generator = self._forget()
        if generator is not None and (error := await afinish(generator, None)) is not None:
            raise error

    def _forget(self) -> Any:
        generator, self._generator, self._state = self._generator, None, None
        return generator

    @staticmethod
    def _arguments(fn: Callable[..., Any], butler: Butler | None) -> tuple[Butler | None, ...]:
        return (butler,) if inspect.signature(fn).parameters else ()
