"""Middleware: code around every enqueue and every attempt of one `Butler`.

The first one added is the outermost: it sees a request first and a result or error last. Around
an attempt it runs where the task runs, outside of the providers, once the request has been
decoded; what it raises is the attempt's error. Around an enqueue it sees everything that goes
through this Butler, also from within tasks, but not what an operator or the scheduler starts again.

Attempts are wrapped when a middleware is added, not when one runs: a task without any is called
as if there were no such thing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from butler.errors import ButlerError, DefinitionError, did_you_mean
from butler.producing import Order

if TYPE_CHECKING:
    from butler.context import TaskContext
    from butler.handles import Handle
    from butler.task_spec import TaskSpec

__all__ = [
    "AsyncAttemptNext",
    "AttemptMiddleware",
    "AttemptNext",
    "EnqueueMiddleware",
    "EnqueueNext",
    "Middleware",
    "MiddlewareChain",
    "Order",
]

EnqueueNext: TypeAlias = Callable[[Sequence[Order]], "list[Handle[Any]]"]
AttemptNext: TypeAlias = Callable[[Any, "TaskContext"], Any]
AsyncAttemptNext: TypeAlias = Callable[[Any, "TaskContext"], Awaitable[Any]]

HOOKS = ("enqueue", "attempt", "aattempt")


class EnqueueMiddleware(Protocol):
    """Runs around each call that enqueues."""

    def enqueue(self, orders: Sequence[Order], call_next: EnqueueNext, /) -> list[Handle[Any]]:
        """Return ``call_next(orders)``: one order for ``enqueue``, many for ``enqueue_many``.

        It may pass on changed ones (``dataclasses.replace``), as many as it got, or raise. For a
        coroutine's ``aenqueue`` it runs in a thread, with the coroutine's context variables.
        """
        ...


class AttemptMiddleware(Protocol):
    """Runs around each attempt: ``attempt`` for ``def`` tasks, ``aattempt`` for ``async def``."""

    def attempt(self, request: Any, context: TaskContext, call_next: AttemptNext, /) -> Any:
        """Return ``call_next(request, context)``: what the task returned, maybe a `TaskResult`."""
        ...

    async def aattempt(
        self, request: Any, context: TaskContext, call_next: AsyncAttemptNext, /
    ) -> Any:
        """Return ``await call_next(request, context)``."""
        ...


Middleware: TypeAlias = EnqueueMiddleware | AttemptMiddleware


class MiddlewareChain:
    """One Butler's middleware, in the order in which it was added."""

    def __init__(self) -> None:
        self.around_enqueue: tuple[EnqueueMiddleware, ...] = ()
        self._around_attempt: tuple[AttemptMiddleware, ...] = ()

    def add(self, middleware: Any) -> None:
        """Add the innermost one; raises `DefinitionError` for an object without a hook."""
        hooks = _hooks_of(middleware)
        if "enqueue" in hooks:
            self.around_enqueue = (*self.around_enqueue, middleware)
        if "attempt" in hooks:
            self._around_attempt = (*self._around_attempt, middleware)

    def enqueue(self, orders: Sequence[Order], write: EnqueueNext) -> list[Handle[Any]]:
        """``write(orders)`` with everything around it."""
        call = write
        for middleware in reversed(self.around_enqueue):
            call = partial(_pass_on, middleware, call)
        return call(orders)

    def around(self, spec: TaskSpec) -> TaskSpec:
        """The task with everything around its attempts; the same one where there is nothing."""
        call = spec.call
        for middleware in reversed(self._around_attempt):
            hook: Any = middleware.aattempt if spec.is_async else middleware.attempt
            call = partial(_call_hook, hook, call)
        return spec if call is spec.call else replace(spec, call=call)


def _pass_on(
    middleware: EnqueueMiddleware, call_next: EnqueueNext, orders: Sequence[Order]
) -> list[Handle[Any]]:
    handles = middleware.enqueue(orders, call_next)
    if len(handles) != len(orders):
        raise ButlerError(
            f"{type(middleware).__name__}.enqueue must return a handle for each of the "
            f"{len(orders)} orders it got, got {len(handles)}"
        )
    return handles


def _call_hook(hook: Any, call_next: AttemptNext, request: Any, context: TaskContext) -> Any:
    return hook(request, context, call_next)


def _hooks_of(middleware: Any) -> set[str]:
    kind = type(middleware).__name__
    if isinstance(middleware, type):
        raise DefinitionError(
            f"add_middleware takes an object: add_middleware({middleware.__name__}(...))"
        )
    hooks = {hook for hook in HOOKS if callable(getattr(middleware, hook, None))}
    if not hooks:
        names = [name for name in dir(middleware) if not name.startswith("_")]
        close = next(
            (hint for n in names if (hint := did_you_mean(n, HOOKS)).startswith("; d")), ""
        )
        raise DefinitionError(
            f"{kind} is no middleware: it needs a method enqueue(orders, call_next), or "
            f"attempt(request, context, call_next) and aattempt{close}"
        )
    if ("attempt" in hooks) != ("aattempt" in hooks):
        has, lacks = ("attempt", "aattempt") if "attempt" in hooks else ("aattempt", "attempt")
        raise DefinitionError(
            f"{kind} has {has} and no {lacks}, so it would miss the tasks that are "
            f"{'async def' if lacks == 'aattempt' else 'def'}: write both"
        )
    return hooks
