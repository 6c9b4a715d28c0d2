"""`Recipe`: how a provided value is made, worked out where the task is defined.

Whatever could not work in a worker is refused here: a provider that needs what nobody provides,
a circle, a process-wide value made of one attempt's, an async provider in a ``def`` task. (An
async provider there was refused rather than run on the worker's event loop: what it makes belongs
to that loop, and a thread that used it would fail in ways that are hard to see.)
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from butler.annotations import resolve_annotation
from butler.context import TaskContext
from butler.errors import DefinitionError
from butler.injection.markers import Provided, provider_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from butler.injection.markers import Scope

_P = inspect.Parameter


class Kind(Enum):
    """What calling a provider gives."""

    PLAIN = "plain"
    COROUTINE = "coroutine"
    GENERATOR = "generator"
    ASYNC_GENERATOR = "async generator"

    @property
    def is_async(self) -> bool:
        """Whether it can only be made on an event loop."""
        return self in (Kind.COROUTINE, Kind.ASYNC_GENERATOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One provider with all it needs; ``context`` names the parameter that takes the context."""

    fn: Callable[..., Any]
    kind: Kind
    scope: Scope
    needs: tuple[tuple[str, Recipe], ...] = ()
    context: str | None = None

    @property
    def name(self) -> str:
        """How messages call it."""
        return provider_name(self.fn)

    def needs_loop(self) -> Recipe | None:
        """The first of it and what it needs that is async."""
        if self.kind.is_async:
            return self
        return next((found for _, need in self.needs if (found := need.needs_loop())), None)


Injections = tuple[tuple[str, Recipe], ...]
"""Recipes by the name of the parameter they are for."""


def provided_parameters(fn: Callable[..., Any]) -> dict[str, Provided]:
    """The parameters of a function that are marked with `Provide`."""
    marked = {}
    for parameter in _parameters(fn):
        mark = _mark_of(fn, parameter)
        if mark is not None:
            marked[parameter.name] = mark
    return marked


def check_all_given(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> None:
    """Raise a `TypeError` when a direct call leaves out what only a worker provides."""
    given = inspect.signature(fn).bind_partial(*args, **kwargs).arguments
    missing = [name for name in provided_parameters(fn) if name not in given]
    if missing:
        names = ", ".join(f"{name}=..." for name in missing)
        raise TypeError(
            f"{provider_name(fn)} was called directly, so nothing is provided: pass {names}"
        )


def injections_of(
    fn: Callable[..., Any], marked: Mapping[str, Provided], *, where: str, is_async: bool
) -> Injections:
    """Recipes for the marked parameters of ``fn``; raises `DefinitionError`."""
    positional = [p.name for p in _parameters(fn) if p.kind is _P.POSITIONAL_ONLY]
    made = []
    for name, mark in marked.items():
        if name in positional:
            raise DefinitionError(f"{where}: the provided {name!r} must not be positional-only")
        recipe = recipe_of(mark.fn, mark.scope, where=where)
        blocked = None if is_async else recipe.needs_loop()
        if blocked is not None:
            raise DefinitionError(
                f"{where}: {name!r} needs {blocked.name}, which is async, and a def task has no "
                "event loop: write async def, or a provider that is a plain def"
            )
        made.append((name, recipe))
    return tuple(made)


def recipe_of(
    fn: Callable[..., Any], scope: Scope, *, where: str, above: tuple[Any, ...] = ()
) -> Recipe:
    """The recipe of one provider; ``above`` are those that need it. Raises `DefinitionError`."""
    if fn in above:
        circle = " -> ".join(provider_name(each) for each in (*above[above.index(fn) :], fn))
        raise DefinitionError(f"{where}: providers need each other in a circle: {circle}")
    where = f"{where}: provider {provider_name(fn)}"
    needs: list[tuple[str, Recipe]] = []
    context = None
    for parameter in _parameters(fn):
        mark = _mark_of(fn, parameter)
        if mark is not None:
            need = recipe_of(mark.fn, mark.scope, where=where, above=(*above, fn))
            needs.append((parameter.name, need))
        elif _takes_context(fn, parameter):
            context = parameter.name
        else:
            _check_left_alone(parameter, where=where)
    recipe = Recipe(
        fn=fn, kind=_kind_of(fn, where), scope=scope, needs=tuple(needs), context=context
    )
    _check_process_scope(recipe, where=where)
    return recipe


def _parameters(fn: Callable[..., Any]) -> list[_P]:
    try:
        return list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        # Some built-in classes do not tell; they are called without arguments.
        return []


def _mark_of(fn: Callable[..., Any], parameter: _P) -> Provided | None:
    if isinstance(parameter.default, Provided):
        return parameter.default
    annotation = _annotation(fn, parameter)
    metadata = getattr(annotation, "__metadata__", ())
    return next((mark for mark in metadata if isinstance(mark, Provided)), None)


def _takes_context(fn: Callable[..., Any], parameter: _P) -> bool:
    annotation = _annotation(fn, parameter)
    return isinstance(annotation, type) and issubclass(annotation, TaskContext)


def _annotation(fn: Callable[..., Any], parameter: _P) -> Any:
    if parameter.annotation is _P.empty:
        return None
    where = inspect.getattr_static(fn, "__init__") if isinstance(fn, type) else fn
    return resolve_annotation(where, parameter.annotation)


def _check_left_alone(parameter: _P, *, where: str) -> None:
    """Whether a provider may be called without this argument."""
    optional = parameter.kind in (_P.VAR_POSITIONAL, _P.VAR_KEYWORD)
    if optional or parameter.default is not _P.empty:
        return
    hint = " (or TaskContext, if it is the context)" if parameter.name in ("context", "ctx") else ""
    raise DefinitionError(
        f"{where} takes {parameter.name!r}, and nothing provides it: mark it with Provide(...) or "
        f"give it a default{hint}"
    )


def _kind_of(fn: Callable[..., Any], where: str) -> Kind:
    if getattr(fn, "__globals__", {}).get("__name__") == "contextlib":
        raise DefinitionError(
            f"{where} is a context manager: leave @contextmanager off, Provide takes the "
            "generator function itself"
        )
    is_instance = not (inspect.isroutine(fn) or isinstance(fn, type) or hasattr(fn, "func"))
    probe = type(fn).__call__ if is_instance else fn
    if inspect.isasyncgenfunction(probe):
        return Kind.ASYNC_GENERATOR
    if inspect.isgeneratorfunction(probe):
        return Kind.GENERATOR
    return Kind.COROUTINE if inspect.iscoroutinefunction(probe) else Kind.PLAIN


def _check_process_scope(recipe: Recipe, *, where: str) -> None:
    if recipe.scope != "process":
        return
    if recipe.context is not None:
        raise DefinitionError(
            f'{where} has scope="process" and takes a TaskContext, which is one attempt\'s'
        )
    for name, need in recipe.needs:
        if need.scope != "process":
            raise DefinitionError(
                f'{where} has scope="process", so {name!r} must have it too: '
                f'Provide({need.name}, scope="process")'
            )
