"""`Provide`: the mark on a parameter that says who makes its value."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, overload

from butler.errors import DefinitionError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Callable,
        Coroutine,
        Generator,
        Iterator,
    )

T = TypeVar("T")

Scope = Literal["attempt", "process"]


@overload
def Provide(fn: Callable[..., AsyncGenerator[T, Any]], /, *, scope: Scope = "attempt") -> T: ...
@overload
def Provide(fn: Callable[..., AsyncIterator[T]], /, *, scope: Scope = "attempt") -> T: ...
@overload
def Provide(fn: Callable[..., Generator[T, Any, Any]], /, *, scope: Scope = "attempt") -> T: ...
@overload
def Provide(fn: Callable[..., Iterator[T]], /, *, scope: Scope = "attempt") -> T: ...
@overload
def Provide(fn: Callable[..., Coroutine[Any, Any, T]], /, *, scope: Scope = "attempt") -> T: ...
@overload
def Provide(fn: Callable[..., T], /, *, scope: Scope = "attempt") -> T: ...
def Provide(fn: Callable[..., Any], /, *, scope: Scope = "attempt") -> Any:  # noqa: N802
    """The value of a parameter is what ``fn`` returns, or yields and then cleans up.

    Write it as the default, ``db: Db = Provide(get_db)``, or as ``Annotated[Db, Provide(get_db)]``.
    ``scope="attempt"`` makes one value an attempt, ``"process"`` one a worker process. Raises
    `DefinitionError` for what is no function.
    """
    _check_provider(fn)
    if scope not in get_args(Scope):
        raise DefinitionError(
            f"scope must be 'attempt' or 'process', got {scope!r}"
            f"{did_you_mean(str(scope), get_args(Scope))}"
        )
    return Provided(fn, scope)


class Provided:
    """What `Provide` really returns; a worker puts the value in its place."""

    __slots__ = ("fn", "scope")

    def __init__(self, fn: Callable[..., Any], scope: Scope) -> None:
        self.fn = fn
        self.scope = scope

    def __getattr__(self, name: str) -> Any:
        if name in self.__slots__ or name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(
            f"{self!r} has no {name!r}: only a worker provides the value; pass one yourself when "
            "you call the function directly"
        )

    def __repr__(self) -> str:
        return f"Provide({provider_name(self.fn)})"


def provider_name(fn: object) -> str:
    """How messages call a provider."""
    return getattr(fn, "__qualname__", None) or repr(fn)


def _check_provider(fn: object) -> None:
    if not callable(fn):
        hint = ": pass the function itself, without ()" if _looks_called(fn) else ""
        raise DefinitionError(f"Provide takes a function or a class, got {fn!r}{hint}")
    try:
        hash(fn)
    except TypeError:
        raise DefinitionError(
            f"Provide({provider_name(fn)}): a provider must be hashable, because its value is "
            "looked up by it; wrap it in a function"
        ) from None


def _looks_called(fn: object) -> bool:
    return inspect.isgenerator(fn) or inspect.isasyncgen(fn) or inspect.iscoroutine(fn)
