"""How a worker calls each form of task: what goes in which parameter.

Each function here looks once, at definition, and returns the shortest call that will do. Only
tasks with provided parameters get the longer one.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from butler.injection.calls import provided_call
from butler.injection.recipes import injections_of, provided_parameters

if TYPE_CHECKING:
    from collections.abc import Callable

    from butler.context import TaskContext
    from butler.injection.recipes import Injections
    from butler.signatures import Signature

    Call = Callable[[Any, TaskContext], Any]


def call_of_function(fn: Callable[..., Any], signature: Signature, *, where: str) -> Call:
    """The call of a decorated function; raises `DefinitionError` for what cannot be provided."""
    injections = _injections(fn, where=where, is_async=signature.is_async)
    if not injections:
        return _plain_call(fn, signature)

    def body(request: Any, context: TaskContext, provided: dict[str, Any]) -> Any:
        given = (request,) if signature.takes_request else ()
        if signature.context is None:
            return fn(*given, **provided)
        if signature.context_by_keyword:
            return fn(*given, **{signature.context: context}, **provided)
        return fn(*given, context, **provided)

    return provided_call(body, [injections], is_async=signature.is_async)


def call_of_class(cls: type[Any], execute: Callable[..., Any], *, where: str) -> Call:
    """The call of a task class: a new instance each time; raises `DefinitionError`."""
    is_async = inspect.iscoroutinefunction(execute)
    made_of = _injections(cls, where=f"{where}: __init__", is_async=is_async)
    injections = _injections(execute, where=f"{where}: execute", is_async=is_async)
    if not made_of and not injections:
        return lambda request, context: cls().execute(request, context)

    def body(
        request: Any, context: TaskContext, made_of: dict[str, Any], provided: dict[str, Any]
    ) -> Any:
        return cls(**made_of).execute(request, context, **provided)

    return provided_call(body, [made_of, injections], is_async=is_async)


def call_of_method(execute: Callable[..., Any], *, where: str) -> Call:
    """The call of an object's ``execute``; raises `DefinitionError`."""
    is_async = inspect.iscoroutinefunction(execute)
    injections = _injections(execute, where=f"{where}: execute", is_async=is_async)
    if not injections:
        return execute

    def body(request: Any, context: TaskContext, provided: dict[str, Any]) -> Any:
        return execute(request, context, **provided)

    return provided_call(body, [injections], is_async=is_async)


def _injections(fn: Callable[..., Any], *, where: str, is_async: bool) -> Injections:
    return injections_of(fn, provided_parameters(fn), where=where, is_async=is_async)


def _plain_call(fn: Callable[..., Any], signature: Signature) -> Call:
    context = signature.context
    if context is None:
        return (lambda request, _: fn(request)) if signature.takes_request else lambda _, __: fn()
    if signature.context_by_keyword:
        if signature.takes_request:
            return lambda request, given: fn(request, **{context: given})
        return lambda _, given: fn(**{context: given})
    return fn if signature.takes_request else lambda _, given: fn(given)
