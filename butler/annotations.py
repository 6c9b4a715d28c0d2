"""Annotations as types: resolved where a task or provider is defined, local types included."""

from __future__ import annotations

import inspect
import sys
import typing
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from butler.context import TaskContext
from butler.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping


def resolve_hints(
    fn: Callable[..., Any], *, where: str, leave_out: Collection[str] = ()
) -> dict[str, Any]:
    """The types of a function's parameters and of its return, ``Annotated`` kept.

    ``leave_out`` names parameters whose type is nobody's business, so that it need not exist.
    Raises `DefinitionError` for any other annotation that cannot be resolved.
    """
    target: Any = inspect.unwrap(fn)
    namespace = None
    if leave_out:
        namespace = getattr(target, "__globals__", {})
        kept = {k: v for k, v in target.__annotations__.items() if k not in leave_out}
        target = SimpleNamespace(__annotations__=kept)
    try:
        try:
            return typing.get_type_hints(target, namespace, include_extras=True)
        except NameError:
            # A type that is local to the function in which the task is defined, or a TaskContext
            # that is imported under TYPE_CHECKING, as linters advise.
            names = {"TaskContext": TaskContext, **caller_locals()}
            return typing.get_type_hints(target, namespace, names, include_extras=True)
    except Exception as error:
        raise DefinitionError(_unresolved(where, error)) from error


def resolve_annotation(fn: Callable[..., Any], annotation: Any) -> Any:
    """One annotation as a type; as it was written where that cannot be told."""
    if not isinstance(annotation, str):
        return annotation
    names = {"TaskContext": TaskContext, **caller_locals()}
    try:
        return eval(annotation, dict(_namespace(fn)), names)  # noqa: S307 - as typing does
    except Exception:  # noqa: BLE001 - names that exist for the type checker only
        return annotation


def resolve_reference(reference: Any, *, module: str, where: str) -> Any:
    """A type given as text (``Task["Request", "Result"]``), looked up; other things as they are."""
    if isinstance(reference, typing.ForwardRef):
        reference = reference.__forward_arg__
    if not isinstance(reference, str):
        return reference
    namespace = vars(sys.modules[module]) if module in sys.modules else {}
    try:
        return eval(reference, dict(namespace), dict(caller_locals()))  # noqa: S307 - as typing does
    except Exception as error:
        raise DefinitionError(_unresolved(where, error)) from error


def caller_locals() -> Mapping[str, Any]:
    """The local names where the task is being defined: the first frame outside of this package."""
    frame = sys._getframe(1)  # noqa: SLF001 - pydantic finds local types the same way
    package = __name__.partition(".")[0]
    while frame.f_globals.get("__name__", "").partition(".")[0] in (package, "typing"):
        if frame.f_back is None:
            return {}
        frame = frame.f_back
    return frame.f_locals


def _namespace(fn: Callable[..., Any]) -> Mapping[str, Any]:
    target = inspect.unwrap(fn)
    if isinstance(target, type):
        return vars(sys.modules[target.__module__]) if target.__module__ in sys.modules else {}
    return getattr(target, "__globals__", {})


def _unresolved(where: str, error: Exception) -> str:
    return (
        f"{where}: an annotation cannot be resolved ({error}); the types of a task must exist "
        "when it is defined: import them outside of TYPE_CHECKING, define them above the task"
    )
