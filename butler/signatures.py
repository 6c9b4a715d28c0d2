"""What a function's signature says about a task: its request, its result, where its context goes.

The context is the parameter annotated `TaskContext`; the request is the one other parameter, and
it comes first; what is marked with `Provide` comes last. Anything else is refused where it is
written, because in a worker it would fail every execution.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Union, get_args, get_origin

from butler.annotations import resolve_hints
from butler.context import TaskContext
from butler.errors import DefinitionError
from butler.injection.markers import Provided
from butler.injection.recipes import provided_parameters
from butler.results import TaskResult

_P = inspect.Parameter
_NEVER = (typing.Never, NoReturn)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """How to call a task's function.

    ``request_type`` is NoneType for a task without a request. ``context`` is the name of the
    parameter that takes the context, None where there is none.
    """

    request_type: Any
    result_type: Any
    takes_request: bool
    context: str | None
    context_by_keyword: bool
    is_async: bool


def read_signature(fn: Callable[..., Any], *, where: str) -> Signature:
    """What ``fn`` takes and returns; raises `DefinitionError` for what no worker could call."""
    check_function(fn, where=where)
    provided = provided_parameters(fn)
    parameters = list(inspect.signature(fn).parameters.values())
    # A provided default says all there is to know; its type may exist for the type checker only.
    needless = [p.name for p in parameters if isinstance(p.default, Provided)]
    hints = resolve_hints(fn, where=where, leave_out=needless)
    wanted = [p for p in parameters if p.name not in provided]
    context = _context_parameter(wanted, hints, where=where)
    data = [p for p in wanted if p is not context]
    _check_data_parameters(data, hints, where=where)
    _check_order(parameters, wanted, where=where)
    if data and context and parameters.index(context) < parameters.index(data[0]):
        raise DefinitionError(f"{where}: the request comes first, then the context")
    return Signature(
        request_type=hints[data[0].name] if data else types.NoneType,
        result_type=_checked_result_type(hints.get("return", Any), where=where),
        takes_request=bool(data),
        context=context.name if context else None,
        context_by_keyword=context is not None and context.kind is _P.KEYWORD_ONLY,
        is_async=inspect.iscoroutinefunction(fn),
    )


def check_function(fn: object, *, where: str) -> None:
    """Raise `DefinitionError` for a generator and for what is no function at all."""
    if not callable(fn) or isinstance(fn, type | staticmethod | classmethod):
        raise DefinitionError(
            f"{where}: a task is a def or an async def (or a class: class X(Task[Request, "
            f"Result])), got {fn!r}"
        )
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise DefinitionError(
            f"{where}: a task must not yield; it returns one result "
            "(context.report_progress tells how far it is)"
        )


def unwrap_result(annotation: Any) -> Any:
    """The type of the result alone: ``R`` for ``TaskResult[R]``, also within a union."""
    if annotation is None or annotation in _NEVER:
        return types.NoneType
    if annotation is TaskResult:
        return Any
    origin = get_origin(annotation)
    if origin is TaskResult:
        return unwrap_result(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        members = tuple(unwrap_result(member) for member in get_args(annotation))
        return Union[members]  # noqa: UP007 - members are known at run time only
    return annotation


def _context_parameter(parameters: list[_P], hints: Mapping[str, Any], *, where: str) -> _P | None:
    found = [p for p in parameters if _is_context(hints.get(p.name))]
    if len(found) > 1:
        names = ", ".join(p.name for p in found)
        raise DefinitionError(f"{where}: only one parameter may be a TaskContext, got {names}")
    return found[0] if found else None


def _is_context(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, TaskContext)


def _check_order(parameters: list[_P], wanted: list[_P], *, where: str) -> None:
    if parameters[: len(wanted)] != wanted:
        names = ", ".join(p.name for p in wanted)
        raise DefinitionError(
            f"{where}: what is provided comes after the other parameters: {names}"
        )


def _check_data_parameters(data: list[_P], hints: Mapping[str, Any], *, where: str) -> None:
    for parameter in data:
        name = parameter.name
        if name in ("self", "cls") and name not in hints:
            raise DefinitionError(
                f"{where}: a method cannot be a task; write class X(Task[Request, Result])"
            )
        if parameter.kind in (_P.VAR_POSITIONAL, _P.VAR_KEYWORD):
            raise DefinitionError(f"{where}: a task takes one request, not {parameter}")
        if name not in hints:
            hint = " (or TaskContext, if it is the context)" if name in ("context", "ctx") else ""
            raise DefinitionError(
                f"{where}: parameter {name!r} has no annotation, so there is no schema for it; "
                f"give it a type that pydantic can validate{hint}"
            )
    if len(data) > 1:
        names = ", ".join(p.name for p in data)
        raise DefinitionError(
            f"{where}: a task takes one request, got {len(data)} data parameters ({names}); "
            "put them into one pydantic model or dataclass, and mark what the worker shall make "
            "with Provide(...)"
        )
    if data and data[0].kind is _P.KEYWORD_ONLY:
        raise DefinitionError(f"{where}: the request {data[0].name!r} must not be keyword-only")
    if data and data[0].default is not _P.empty:
        raise DefinitionError(
            f"{where}: the request {data[0].name!r} must have no default: a worker always passes "
            "one; give the fields of its type defaults instead"
        )


def _checked_result_type(annotation: Any, *, where: str) -> Any:
    origin = get_origin(annotation) or annotation
    if isinstance(origin, type) and issubclass(origin, Coroutine | Awaitable):
        raise DefinitionError(f"{where}: returns an awaitable; write async def instead of def")
    return unwrap_result(annotation)
