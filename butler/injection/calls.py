"""Calling a task with what is provided: make the values, run the body, clean up, whatever happens.

Tasks without providers never come here: their call is made without it, and costs nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from butler.errors import ButlerError, TaskInterrupted
from butler.injection.opened import abegin, aunwind, begin, unwind
from butler.injection.recipes import Kind

if TYPE_CHECKING:
    from butler.context import TaskContext
    from butler.injection.opened import Opened
    from butler.injection.recipes import Injections, Recipe

Body = Callable[..., Any]
"""Gets the request, the context, and the values of each group of injections as a dict."""


def provided_call(
    body: Body, groups: Sequence[Injections], *, is_async: bool
) -> Callable[[Any, TaskContext], Any]:
    """How a worker calls a task some of whose parameters are provided."""

    def call(request: Any, context: TaskContext) -> Any:
        values = _Values(context)
        value: Any = None
        error: BaseException | None = None
        try:
            try:
                given = [values.of(group) for group in groups]
                value = body(request, context, *given)
            except BaseException as raised:  # noqa: BLE001 - raised again below
                error = raised
            error = unwind(values.opened, error)
        except TaskInterrupted as late:
            # Thrown in between: nothing else is thrown into this attempt, so this one completes.
            error = unwind(values.opened, late)
        if error is not None:
            raise error
        return value

    async def acall(request: Any, context: TaskContext) -> Any:
        values = _Values(context)
        value: Any = None
        error: BaseException | None = None
        try:
            given = [await values.aof(group) for group in groups]
            value = await body(request, context, *given)
        except BaseException as raised:  # noqa: BLE001 - raised again below
            error = raised
        error = await aunwind(values.opened, error)
        if error is not None:
            raise error
        return value

    return acall if is_async else call


class _Values:
    """What one attempt has been given so far, each provider's value once."""

    __slots__ = ("_context", "_injector", "_made", "opened")

    def __init__(self, context: TaskContext) -> None:
        self._context = context
        self._injector = context._butler.injector  # noqa: SLF001 - what is provided is the Butler's
        self._made: dict[Any, Any] = {}
        self.opened: Opened = []

    def of(self, injections: Injections) -> dict[str, Any]:
        return {name: self._value(recipe) for name, recipe in injections}

    async def aof(self, injections: Injections) -> dict[str, Any]:
        return {name: await self._avalue(recipe) for name, recipe in injections}

    def _value(self, recipe: Recipe) -> Any:
        recipe = self._injector.current(recipe)
        _check_thread(recipe)
        if recipe.scope == "process":
            return self._injector.process.value(recipe, _checked(self._injector.current))
        if recipe.fn in self._made:
            return self._made[recipe.fn]
        made = recipe.fn(**self._with_context(recipe, self.of(recipe.needs)))
        if recipe.kind is Kind.GENERATOR:
            self.opened.append(made)
            made = begin(made, recipe.name)
        self._made[recipe.fn] = made
        return made

    async def _avalue(self, recipe: Recipe) -> Any:
        recipe = self._injector.current(recipe)
        if recipe.scope == "process":
            return await self._injector.process.avalue(recipe, self._injector.current)
        if recipe.fn in self._made:
            return self._made[recipe.fn]
        made = recipe.fn(**self._with_context(recipe, await self.aof(recipe.needs)))
        match recipe.kind:
            case Kind.COROUTINE:
                made = await made
            case Kind.GENERATOR:
                self.opened.append(made)
                made = begin(made, recipe.name)
            case Kind.ASYNC_GENERATOR:
                self.opened.append(made)
                made = await abegin(made, recipe.name)
        self._made[recipe.fn] = made
        return made

    def _with_context(self, recipe: Recipe, given: dict[str, Any]) -> dict[str, Any]:
        return {**given, recipe.context: self._context} if recipe.context else given


def _check_thread(recipe: Recipe) -> None:
    """Only a fake can be async here; the definition has refused the others."""
    if recipe.kind.is_async:
        raise ButlerError(f"the fake {recipe.name} is async, and it is needed by a def task")


def _checked(current: Callable[[Recipe], Recipe]) -> Callable[[Recipe], Recipe]:
    def checked(recipe: Recipe) -> Recipe:
        found = current(recipe)
        _check_thread(found)
        return found

    return checked
