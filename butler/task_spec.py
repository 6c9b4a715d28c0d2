"""`TaskSpec`: a task as a worker runs it, whatever form it was written in.

A decorated function, a `Task` class and any object with ``execute`` all become one of these where
they are defined, so that a definition which cannot work fails there and not in a worker.
"""

from __future__ import annotations

import difflib
import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

from butler.annotations import resolve_reference
from butler.calls import call_of_class, call_of_function, call_of_method
from butler.codec import Codec, ResultCodec
from butler.errors import DefinitionError
from butler.fair_keys import check_field, json_path
from butler.injection.recipes import provided_parameters
from butler.option_names import unknown_option
from butler.options import (
    BUILT_IN,
    TASK_OPTION_NAMES,
    TaskDefaults,
    TaskOptions,
    task_options,
)
from butler.signatures import check_function, read_signature, unwrap_result
from butler.storage.records import TaskDefinition

if TYPE_CHECKING:
    from butler.context import TaskContext
    from butler.fair_keys import FairBy

Call = Callable[[Any, "TaskContext"], Any]

# Options that belong to the class that writes them; the others are inherited.
_OWN_OPTIONS = frozenset({"name", "description", "aliases"})
_RESERVED = frozenset({"options", "request_type", "result_type", "enqueue", "aenqueue", "handle"})
# A class may have attributes of its own; only what is nearly one of these must be a slip.
_NOTICED = (*TASK_OPTION_NAMES, "max_attempts", "max_retries", "retries")
_NEAR_MISS = 0.85


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """A task's definition. ``call`` gets the decoded request and the context."""

    options: TaskOptions
    request_type: Any
    result_type: Any
    request: Codec
    result: ResultCodec
    is_async: bool
    call: Call

    @property
    def name(self) -> str:
        """The name executions carry."""
        return self.options.name

    @property
    def description(self) -> str:
        """What it is for, from ``description=`` or the docstring."""
        return self.options.description

    @property
    def fingerprint(self) -> str:
        """Of the request's schema: two processes with the same one understand each other."""
        return self.request.fingerprint

    def invoke(self, request: Any, context: TaskContext) -> Any:
        """Run one attempt: the task's return value, or a coroutine of it where ``is_async``.

        A class is instantiated anew for each attempt.
        """
        return self.call(request, context)

    def definition(
        self,
        *,
        app: str = "",
        defaults: TaskDefaults = BUILT_IN,
        fair_queues: Mapping[str, FairBy] = MappingProxyType({}),
    ) -> TaskDefinition:
        """The task as the ledger keeps it for those who do not have its code.

        ``fair_queues`` is what the application says by queue of tasks that have no ``fair_by``.
        """
        return TaskDefinition(
            name=self.name,
            description=self.description,
            tags=self.options.tags,
            request_schema=self.request.schema(),
            result_schema=self.result.schema(),
            options=self.options.to_json(defaults) | self._fair_paths(fair_queues),
            fingerprint=self.fingerprint,
            app=app,
        )

    def _fair_paths(self, fair_queues: Mapping[str, FairBy]) -> dict[str, Any]:
        """Where fair keys stand in requests as JSON: for SQL, and only where there are some."""
        own = self.options.fair_by
        if own is not None:
            path = self._fair_path(own)
            return {} if path is None else {"fair_path": path}
        paths = {queue: self._fair_path(fair_by) for queue, fair_by in fair_queues.items()}
        said = {queue: path for queue, path in paths.items() if path is not None}
        return {"fair_queues": said} if said else {}

    def _fair_path(self, fair_by: FairBy) -> list[str] | None:
        return json_path(fair_by, self.request_type, by_alias=self.request.by_alias)


def spec_of_function(fn: Callable[..., Any], given: Mapping[str, Any]) -> TaskSpec:
    """The spec of a decorated function; raises `DefinitionError`."""
    where = f"task {given.get('name') or getattr(fn, '__name__', repr(fn))!r}"
    check_function(fn, where=where)
    signature = read_signature(fn, where=where)
    return _spec(
        {
            "name": given.get("name") or _function_name(fn, where=where),
            "description": _docstring(fn),
            **_set(given),
        },
        where=where,
        request_type=signature.request_type,
        result_type=signature.result_type,
        is_async=signature.is_async,
        call=call_of_function(fn, signature, where=where),
    )


def spec_of_class(cls: type, base: type) -> TaskSpec | None:
    """The spec of a subclass of ``base`` (`Task`); None while it is abstract.

    Abstract is a class without an ``execute`` of its own or of a base, or whose request or result
    is still a type variable. Raises `DefinitionError`.
    """
    where = f"task class {cls.__name__}"
    _check_attributes(cls, base, where=where)
    execute = inspect.getattr_static(cls, "execute")
    if execute is inspect.getattr_static(base, "execute") or inspect.isabstract(cls):
        return None
    arguments = generic_arguments(cls, base)
    if arguments is None:
        raise DefinitionError(
            f"{where}: no request and result types; write class {cls.__name__}(Task[Request, "
            "Result])"
        )
    request_type, result_type = (
        resolve_reference(argument, module=cls.__module__, where=where) for argument in arguments
    )
    if _has_type_variables(request_type) or _has_type_variables(result_type):
        return None
    _check_execute(execute, bound=False, where=where)
    options = {"name": cls.__name__, "description": _docstring(cls), **_class_options(cls, base)}
    return _spec(
        options,
        where=where,
        request_type=types.NoneType if request_type is None else request_type,
        result_type=unwrap_result(result_type),
        is_async=inspect.iscoroutinefunction(execute),
        call=call_of_class(cls, execute, where=where),
    )


def spec_of_object(task: Any) -> TaskSpec:
    """The spec of an object with ``execute(request, context)`` (`TaskLike`).

    The types come from the annotations of ``execute``, the options from attributes of the object
    that are called like them. Raises `DefinitionError`.
    """
    kind = type(task).__name__
    where = f"task object {kind}"
    execute = getattr(task, "execute", None)
    if isinstance(task, type) or not callable(execute):
        raise DefinitionError(
            f"{task!r} is no task: register a function decorated with @task, a class "
            "X(Task[Request, Result]), or an object with execute(request, context)"
        )
    _check_execute(execute, bound=True, where=where)
    signature = read_signature(execute, where=where)
    if not signature.takes_request or signature.context is None:
        raise DefinitionError(
            f"{where}: execute must be annotated: execute(self, request: Request, "
            "context: TaskContext) -> Result"
        )
    given = {name: getattr(task, name) for name in TASK_OPTION_NAMES if hasattr(task, name)}
    return _spec(
        {"name": kind, "description": _docstring(type(task)), **_set(given)},
        where=where,
        request_type=signature.request_type,
        result_type=signature.result_type,
        is_async=signature.is_async,
        call=call_of_method(execute, where=where),
    )


def spec_of_instance(task: Any, spec: TaskSpec) -> TaskSpec:
    """The spec of a task class, for an object of it that serves all attempts."""
    where = f"task object {type(task).__name__}"
    return replace(spec, call=call_of_method(task.execute, where=where))


def generic_arguments(cls: type, base: type) -> tuple[Any, ...] | None:
    """With what ``cls`` parametrises ``base``, through all bases between; None if with nothing."""
    for parent in cls.__dict__.get("__orig_bases__", cls.__bases__):
        origin = get_origin(parent) or parent
        if origin is base:
            return get_args(parent) or None
        if isinstance(origin, type) and issubclass(origin, base):
            inner = generic_arguments(origin, base)
            if inner is not None:
                given = dict(zip(_parameters(origin), get_args(parent), strict=False))
                return tuple(_substitute(argument, given) for argument in inner)
    return None


def _spec(
    options: Mapping[str, Any],
    *,
    where: str,
    request_type: Any,
    result_type: Any,
    is_async: bool,
    call: Call,
) -> TaskSpec:
    fitting = "async" if is_async else "thread"
    checked = task_options({"isolation": fitting, **options}, where=where)
    if checked.memory_limit_mb is not None and checked.isolation != "process":
        raise DefinitionError(f'{where}: memory_limit_mb needs isolation="process"')
    if checked.isolation not in (fitting, "process"):
        kind = "async def" if is_async else "def"
        raise DefinitionError(
            f'{where}: isolation="{checked.isolation}" is not for a plain {kind}, which runs as '
            f'"{fitting}"; ' + ("write def" if is_async else "write async def")
        )
    for option in ("unique_key", "concurrency_key", "rate_key", "fair_by"):
        _check_key(option, getattr(checked, option), where=where)
    check_field(checked.fair_by, request_type, where=where)
    return TaskSpec(
        options=checked,
        request_type=request_type,
        result_type=result_type,
        request=Codec(request_type, label=f'request of "{checked.name}"'),
        result=ResultCodec(result_type, label=f'result of "{checked.name}"'),
        is_async=is_async,
        call=call,
    )


def _function_name(fn: Callable[..., Any], *, where: str) -> str:
    name = getattr(fn, "__name__", None)
    if name is None or name == "<lambda>":
        raise DefinitionError(f"{where}: give it a name: @task(name=...)")
    return str(name)


def _docstring(source: Any) -> str:
    # Not inspect.getdoc: a class without a docstring would get that of Task.
    text = source.__dict__.get("__doc__") if isinstance(source, type) else source.__doc__
    return inspect.cleandoc(text) if text else ""


def _set(given: Mapping[str, Any]) -> dict[str, Any]:
    """Without the options that are None because they were left out."""
    return {k: v for k, v in given.items() if v is not None or k == "timeout_s"}


def _class_options(cls: type, base: type) -> dict[str, Any]:
    chosen = {}
    for name in TASK_OPTION_NAMES:
        if name in _OWN_OPTIONS:
            if name in cls.__dict__:
                chosen[name] = getattr(cls, name)
        elif inspect.getattr_static(cls, name) is not inspect.getattr_static(base, name):
            chosen[name] = getattr(cls, name)
    return _set(chosen)


def _check_attributes(cls: type, base: type, *, where: str) -> None:
    for name, value in cls.__dict__.items():
        if name in _RESERVED:
            raise DefinitionError(f"{where}: {name!r} is a name that Task itself uses")
        if name.startswith("_") or name in TASK_OPTION_NAMES or name in base.__dict__:
            continue
        if isinstance(value, property | staticmethod | classmethod) or callable(value):
            continue
        if difflib.get_close_matches(name, _NOTICED, n=1, cutoff=_NEAR_MISS):
            reason = unknown_option(name, TASK_OPTION_NAMES)
            raise DefinitionError(f"{where}: {reason} (an attribute of your own: call it _{name})")


def _check_execute(execute: Any, *, bound: bool, where: str) -> None:
    check_function(execute, where=f"{where}: execute")
    wanted = (None, None) if bound else (None, None, None)
    provided = provided_parameters(execute)
    try:
        signature = inspect.signature(execute)
        signature.bind(*wanted, **provided)
    except TypeError:
        raise DefinitionError(
            f"{where}: execute must take (self, request, context), got "
            f"execute{inspect.signature(execute)}"
        ) from None
    names = [name for name in list(signature.parameters)[len(wanted) :] if name not in provided]
    if names:
        raise DefinitionError(
            f"{where}: execute takes a request and a context, got more: {', '.join(names)}; mark "
            "what the worker shall make with Provide(...)"
        )


def _check_key(option: str, key: Any, *, where: str) -> None:
    if not callable(key):
        return
    try:
        inspect.signature(key).bind(None)
    except (TypeError, ValueError):
        raise DefinitionError(
            f"{where}: {option} must be a str or a function of the request alone "
            "(in a class: a lambda or a @staticmethod)"
        ) from None


def _parameters(origin: type) -> tuple[Any, ...]:
    return getattr(origin, "__parameters__", ())


def _substitute(argument: Any, given: Mapping[Any, Any]) -> Any:
    if isinstance(argument, TypeVar):
        return given.get(argument, argument)
    inner = getattr(argument, "__parameters__", ())
    if inner and not isinstance(argument, type):
        return argument[tuple(given.get(parameter, parameter) for parameter in inner)]
    return argument


def _has_type_variables(annotation: Any) -> bool:
    if isinstance(annotation, TypeVar):
        return True
    return not isinstance(annotation, type) and bool(getattr(annotation, "__parameters__", ()))
