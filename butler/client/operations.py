"""What a client can do, written once: each method of a resource is one of these descriptors.

`operation` makes a method of a function that returns an `Ask`, `conversation` of one that is a
`Talk`. On a client that blocks the method returns what comes of it, on an awaited one a coroutine
of that; type checkers know which by the resource's driver. `makes` is the same for what makes an
execution, whose handle it returns. `pages` and `steps` return something to iterate over.
"""

from __future__ import annotations

import functools
from types import MethodType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from butler.blocking import warn_if_loop_blocked
from butler.client.exchange import exchange
from butler.client.paging import walk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

    from butler.client.asks import Ask
    from butler.client.awaiting import Awaiting
    from butler.client.blocking import Blocking
    from butler.client.handles import AsyncClientHandle, ClientHandle
    from butler.client.paging import Part
    from butler.client.resource import Resource
    from butler.client.steps import Talk
    from butler.web.models.executions import Enqueued

P = ParamSpec("P")
T = TypeVar("T")


class _Method:
    """Calls ``talk`` for a conversation, and lets the instance's driver have it.

    Named, documented and signed as ``function`` is. ``route`` is what it asks, for the test that
    nothing of the API is missing.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        talk: Callable[..., Talk[Any]],
        *,
        route: str | None = None,
        iterates: bool = False,
    ) -> None:
        def call(resource: Resource[Any], *args: Any, **kwargs: Any) -> Any:
            driver = resource.driver
            if driver.blocks:
                name = f"{type(resource).__name__}.{function.__name__}()"
                warn_if_loop_blocked(name, awaited="that of AsyncButlerClient")
            take = driver.iterate if iterates else driver.take
            return take(talk(resource, *args, **kwargs))

        self.route = route
        self._call: Callable[..., Any] = functools.update_wrapper(call, function)
        self.__doc__ = function.__doc__

    def __get__(self, instance: Resource[Any] | None, owner: Any) -> Any:
        return self._call if instance is None else MethodType(self._call, instance)


class Operation(_Method, Generic[P, T]):
    """A method whose value is a ``T``, or a coroutine of it."""

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: Any) -> Callable[..., Any]: ...
        @overload
        def __get__(self, instance: Resource[Blocking], owner: Any) -> Callable[P, T]: ...
        @overload
        def __get__(
            self, instance: Resource[Awaiting], owner: Any
        ) -> Callable[P, Coroutine[Any, Any, T]]: ...
        def __get__(self, instance: Any, owner: Any) -> Any: ...


class Iteration(_Method, Generic[P, T]):
    """A method whose value is for ``for``, or for ``async for``."""

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: Any) -> Callable[..., Any]: ...
        @overload
        def __get__(self, instance: Resource[Blocking], owner: Any) -> Callable[P, Iterator[T]]: ...
        @overload
        def __get__(
            self, instance: Resource[Awaiting], owner: Any
        ) -> Callable[P, AsyncIterator[T]]: ...
        def __get__(self, instance: Any, owner: Any) -> Any: ...


class Making(_Method, Generic[P]):
    """A method whose value is a handle, or a coroutine of one."""

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: Any) -> Callable[..., Any]: ...
        @overload
        def __get__(
            self, instance: Resource[Blocking], owner: Any
        ) -> Callable[P, ClientHandle[Any]]: ...
        @overload
        def __get__(
            self, instance: Resource[Awaiting], owner: Any
        ) -> Callable[P, Coroutine[Any, Any, AsyncClientHandle[Any]]]: ...
        def __get__(self, instance: Any, owner: Any) -> Any: ...


def operation(
    route: str,
) -> Callable[[Callable[Concatenate[Any, P], Ask[T]]], Operation[P, T]]:
    """Decorates a function that returns an `Ask` for this route: ``POST /queues/{queue}/pause``."""

    def add(function: Callable[Concatenate[Any, P], Ask[T]]) -> Operation[P, T]:
        def talk(resource: Resource[Any], *args: Any, **kwargs: Any) -> Talk[T]:
            return exchange(function(resource, *args, **kwargs), route, resource.driver.manner)

        return Operation(function, talk, route=route)

    return add


def makes(route: str) -> Callable[[Callable[Concatenate[Any, P], Ask[Enqueued]]], Making[P]]:
    """`operation` for what makes an execution."""

    def add(function: Callable[Concatenate[Any, P], Ask[Enqueued]]) -> Making[P]:
        def talk(resource: Resource[Any], *args: Any, **kwargs: Any) -> Talk[Any]:
            from butler.client.handles import handle_of

            ask = function(resource, *args, **kwargs)
            made = yield from exchange(ask, route, resource.driver.manner)
            return handle_of(resource.driver, made)

        return Making(function, talk, route=route)

    return add


def pages(
    route: str,
) -> Callable[[Callable[Concatenate[Any, P], Ask[Part[T]]]], Iteration[P, T]]:
    """`operation` for a listing: iterates over what all of its pages hold."""

    def add(function: Callable[Concatenate[Any, P], Ask[Part[T]]]) -> Iteration[P, T]:
        def talk(resource: Resource[Any], *args: Any, **kwargs: Any) -> Talk[None]:
            return walk(function(resource, *args, **kwargs), route, resource.driver.manner)

        return Iteration(function, talk, route=route, iterates=True)

    return add


def conversation(function: Callable[Concatenate[Any, P], Talk[T]]) -> Operation[P, T]:
    """Decorates a function that is a conversation, however often that asks."""
    return Operation(function, function)


def steps(
    route: str,
    *,
    of: type[T],  # noqa: ARG001 - for type checkers
) -> Callable[[Callable[Concatenate[Any, P], Talk[Any]]], Iteration[P, T]]:
    """Decorates a conversation whose `Item` steps, each ``of`` this type, are iterated over."""

    def add(function: Callable[Concatenate[Any, P], Talk[Any]]) -> Iteration[P, T]:
        return Iteration(function, function, route=route, iterates=True)

    return add
