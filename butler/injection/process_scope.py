"""`ProcessScope`: values that live as long as a worker process, each made once.

Who asks first makes it, and whoever asks meanwhile waits for that one: a thread in slices, so that
a timeout reaches it, a coroutine without blocking its loop. A coroutine's value is made in a task
of its own: the attempt that asked first may be cancelled, the others still want it. What fails is
not kept; the next attempt tries again.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from butler.injection.opened import abegin, afinish, begin, finish, running_loop
from butler.injection.recipes import Kind
from butler.log import log_event

if TYPE_CHECKING:
    from butler.injection.recipes import Recipe

logger = logging.getLogger(__name__)

_SLICE_S = 0.25
_Current = Callable[["Recipe"], "Recipe"]
Run = Callable[[Coroutine[Any, Any, Any]], Any]


class _Abandoned(Exception):
    """Who was making it was interrupted; make it yourself."""


class ProcessScope:
    """Process-wide values by their provider; safe for threads and coroutines at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[Any, Future[Any]] = {}
        self._opened: list[tuple[Any, asyncio.AbstractEventLoop | None]] = []
        # A loop itself holds its tasks only weakly.
        self._filling: set[asyncio.Task[None]] = set()

    def value(self, recipe: Recipe, current: _Current) -> Any:
        """The value, made now if it is not there; ``current`` says what stands in for a recipe."""
        while True:
            future, is_mine = self._claim(recipe)
            if is_mine:
                return self._fill(recipe, future, current)
            try:
                return _wait(future)
            except _Abandoned:
                continue

    async def avalue(self, recipe: Recipe, current: _Current) -> Any:
        """`value` for a coroutine."""
        while True:
            future, is_mine = self._claim(recipe)
            if is_mine:
                self._start_filling(recipe, future, current)
            try:
                if future.done():
                    return future.result()
                return await asyncio.shield(asyncio.wrap_future(future))
            except _Abandoned:
                continue

    def close(self, timeout_s: float, *, run: Run | None = None) -> None:
        """Finish all in reverse order, each where it was made; errors are logged, not raised.

        ``timeout_s`` bounds each that belongs to a loop in another thread; ``run`` is for those
        whose loop stands still.
        """
        for generator, loop in self._take_all():
            if loop is None:
                error = finish(generator, None)
            elif loop.is_running():
                error = _finish_there(generator, loop, timeout_s)
            elif run is not None and not loop.is_closed():
                error = run(afinish(generator, None))
            else:
                error = RuntimeError("the event loop it was made on has ended")
            _report(generator, error)

    async def aclose(self) -> None:
        """`close` from within the only loop there is."""
        for generator, _ in self._take_all():
            _report(generator, await afinish(generator, None))

    def _claim(self, recipe: Recipe) -> tuple[Future[Any], bool]:
        held = self._values.get(recipe.fn)
        if held is not None:
            return held, False
        with self._lock:
            held = self._values.get(recipe.fn)
            if held is not None:
                return held, False
            made: Future[Any] = Future()
            self._values[recipe.fn] = made
            return made, True

    def _start_filling(self, recipe: Recipe, future: Future[Any], current: _Current) -> None:
        # In an empty context, because the value belongs to no attempt.
        task = asyncio.get_running_loop().create_task(
            self._afill(recipe, future, current), context=contextvars.Context()
        )
        self._filling.add(task)
        task.add_done_callback(self._filling.discard)

    def _fill(self, recipe: Recipe, future: Future[Any], current: _Current) -> Any:
        try:
            given = {name: self.value(current(need), current) for name, need in recipe.needs}
            made = recipe.fn(**given)
            if recipe.kind is Kind.GENERATOR:
                made = self._keep(made, begin(made, recipe.name))
        except BaseException as error:
            self._give_up(recipe, future, error)
            raise
        future.set_result(made)
        return made

    async def _afill(self, recipe: Recipe, future: Future[Any], current: _Current) -> None:
        try:
            given = {name: await self.avalue(current(need), current) for name, need in recipe.needs}
            made = recipe.fn(**given)
            match recipe.kind:
                case Kind.COROUTINE:
                    made = await made
                case Kind.GENERATOR:
                    made = self._keep(made, begin(made, recipe.name))
                case Kind.ASYNC_GENERATOR:
                    made = self._keep(made, await abegin(made, recipe.name))
        except BaseException as error:  # noqa: BLE001 - raised in those who wait for it
            self._give_up(recipe, future, error)
        else:
            future.set_result(made)

    def _keep(self, generator: Any, value: Any) -> Any:
        with self._lock:
            self._opened.append((generator, running_loop()))
        return value

    def _give_up(self, recipe: Recipe, future: Future[Any], error: BaseException) -> None:
        with self._lock:
            self._values.pop(recipe.fn, None)
        future.set_exception(error if isinstance(error, Exception) else _Abandoned())

    def _take_all(self) -> list[tuple[Any, asyncio.AbstractEventLoop | None]]:
        with self._lock:
            taken = self._opened[::-1]
            self._opened.clear()
            self._values.clear()
        return taken


def _wait(future: Future[Any]) -> Any:
    while not future.done():
        try:
            return future.result(_SLICE_S)
        except TimeoutError:
            # The wait's own, or what the provider raised: then it is done, and raised below.
            continue
    return future.result()


def _finish_there(
    generator: Any, loop: asyncio.AbstractEventLoop, timeout_s: float
) -> BaseException | None:
    closing = asyncio.run_coroutine_threadsafe(afinish(generator, None), loop)
    try:
        return closing.result(timeout_s)
    except TimeoutError:
        return TimeoutError(f"not finished within {timeout_s:g} s")


def _report(generator: Any, error: BaseException | None) -> None:
    if error is not None:
        name = getattr(generator, "__qualname__", repr(generator))
        log_event(logger, logging.ERROR, "provider.not_closed", provider=name, error=repr(error))
