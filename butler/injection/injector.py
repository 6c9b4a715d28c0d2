"""`Injector`: one `Butler`'s provided values: who stands in for whom, and the process scope."""

from __future__ import annotations

import functools
import inspect
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from butler.errors import DefinitionError
from butler.injection.markers import provider_name
from butler.injection.process_scope import ProcessScope
from butler.injection.recipes import recipe_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from butler.injection.process_scope import Run
    from butler.injection.recipes import Recipe

CLOSE_S = 5.0


class Injector:
    """The overrides in force, newest last, and under each a process scope of its own.

    A scope of its own, because a process-wide value may have been made of what is replaced.
    """

    def __init__(self) -> None:
        self._base = ProcessScope()
        self._overrides: tuple[Override, ...] = ()

    @property
    def process(self) -> ProcessScope:
        """Where process-wide values are made now."""
        return self._overrides[-1].process if self._overrides else self._base

    def current(self, recipe: Recipe) -> Recipe:
        """The recipe itself, or the one that stands in for it."""
        for override in reversed(self._overrides):
            if override.provider == recipe.fn:
                return override.stand_in(recipe)
        return recipe

    @contextmanager
    def override(self, provider: Callable[..., Any], fake: Any) -> Iterator[None]:
        """Put ``fake`` in the place of a provider within the block."""
        override = Override(provider, fake)
        self._overrides = (*self._overrides, override)
        try:
            yield
        finally:
            self._overrides = tuple(each for each in self._overrides if each is not override)
            override.process.close(CLOSE_S)

    def close(self, timeout_s: float = CLOSE_S, *, run: Run | None = None) -> None:
        """Finish all process-wide values; each is made anew when it is asked for again.

        ``run`` runs a coroutine on a loop that stands still, where that is the one they belong to.
        """
        for override in reversed(self._overrides):
            override.process.close(timeout_s, run=run)
        self._base.close(timeout_s, run=run)

    async def aclose(self) -> None:
        """`close` from within the loop on which they were made."""
        for override in reversed(self._overrides):
            await override.process.aclose()
        await self._base.aclose()


class Override:
    """A fake in the place of a provider."""

    def __init__(self, provider: Callable[..., Any], fake: Any) -> None:
        if not callable(provider):
            raise DefinitionError(
                f"override takes the function that is passed to Provide, got {provider!r}"
            )
        self.provider = provider
        self.process = ProcessScope()
        self._where = f"override of {provider_name(provider)}"
        self._make = fake if _is_provider(fake) else _Value(fake)
        self._recipes = {"attempt": recipe_of(self._make, "attempt", where=self._where)}
        if _needs(self._recipes["attempt"], provider):
            raise DefinitionError(
                f"{self._where}: the fake needs what it replaces; call "
                f"{provider_name(provider)}() in it instead"
            )

    def stand_in(self, recipe: Recipe) -> Recipe:
        """The fake, in the scope of what it stands in for."""
        if recipe.scope not in self._recipes:
            made = recipe_of(self._make, recipe.scope, where=self._where)
            self._recipes[recipe.scope] = replace(made, scope=recipe.scope)
        return self._recipes[recipe.scope]


class _Value:
    """A provider of what is there already."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __call__(self) -> Any:
        return self._value


def _is_provider(fake: Any) -> bool:
    """A function or class is called; any other object, a Mock too, is the value itself."""
    return inspect.isroutine(fake) or isinstance(fake, type | functools.partial)


def _needs(recipe: Recipe, provider: Callable[..., Any]) -> bool:
    return any(need.fn == provider or _needs(need, provider) for _, need in recipe.needs)
