"""`assert_enqueued`: what the code under test has enqueued, looked up in the ledger."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from butler.errors import did_you_mean
from butler.executions import Execution
from butler.function_tasks import FunctionTask
from butler.storage.records import ExecutionQuery
from butler.tasks import Task, class_binding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from butler.app import Butler

FIELDS = tuple(field.name for field in dataclasses.fields(Execution))
SHOWN = 10
_PAGE = 1_000


def assert_enqueued(task: Any, *, butler: Butler | None = None, **fields: Any) -> Execution:
    """The newest execution of a task whose fields are these; an `AssertionError` without one.

    ``fields`` are those of an `Execution`: ``queue="mail"``, ``user_id=...``, ``status=...``.
    ``request`` is a request, which must be equal, or a dict, whose keys must be. ``tags`` must all
    be there. Executions in any state count. ``butler`` is needed for a task given by its name.
    """
    __tracebackhide__ = True
    looked, matching = _look(task, butler, fields)
    if not matching:
        raise AssertionError(_nothing_found(looked, fields))
    return matching[0]


def assert_not_enqueued(task: Any, *, butler: Butler | None = None, **fields: Any) -> None:
    """An `AssertionError` when `assert_enqueued` would find an execution."""
    __tracebackhide__ = True
    looked, matching = _look(task, butler, fields)
    if matching:
        raise AssertionError(
            f"{looked.name} was enqueued {len(matching)} times with {_shown(fields)}:\n"
            + "\n".join(_line(execution, fields) for execution in matching[:SHOWN])
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    name: str
    found: list[Execution]


def _look(
    task: Any, butler: Butler | None, fields: Mapping[str, Any]
) -> tuple[_Looked, list[Execution]]:
    for name in fields:
        if name not in FIELDS:
            raise TypeError(f"an execution has no {name!r}{did_you_mean(name, FIELDS)}")
    host = butler if butler is not None else _butler_of(task)
    spec = host.registry.find(task) if isinstance(task, str) else host.registry.find_source(task)
    name = task if isinstance(task, str) else (spec.name if spec else str(task))
    wanted = dict(fields)
    if "request" in wanted and not isinstance(wanted["request"], Mapping) and spec is not None:
        text = spec.request.encode(spec.request.validate(wanted["request"]))
        wanted["request"] = None if text is None else json.loads(text)
    found = list(_executions(host, name))
    return _Looked(name=name, found=found), [each for each in found if _matches(each, wanted)]


def _butler_of(task: Any) -> Butler:
    if isinstance(task, FunctionTask):
        return task.binding.the_butler(task.name, module=task.fn.__module__)
    if isinstance(task, type) and issubclass(task, Task):
        return class_binding(task).the_butler(task.__name__, module=task.__module__)
    raise TypeError(f"which Butler knows {task!r}? Pass it: assert_enqueued(task, butler=butler)")


def _executions(butler: Butler, task: str) -> Iterator[Execution]:
    cursor = None
    while True:
        page = butler.storage.find(ExecutionQuery(task=task, after=cursor, limit=_PAGE))
        yield from page.executions
        cursor = page.next_cursor
        if cursor is None:
            return


def _matches(execution: Execution, wanted: Mapping[str, Any]) -> bool:
    return all(_agrees(name, getattr(execution, name), value) for name, value in wanted.items())


def _agrees(name: str, actual: Any, wanted: Any) -> bool:
    if name == "request" and isinstance(wanted, Mapping) and isinstance(actual, Mapping):
        return all(key in actual and actual[key] == value for key, value in wanted.items())
    if name == "tags":
        return {wanted} <= set(actual) if isinstance(wanted, str) else set(wanted) <= set(actual)
    return bool(actual == wanted)


def _nothing_found(looked: _Looked, fields: Mapping[str, Any]) -> str:
    if not looked.found:
        return f"{looked.name} was not enqueued"
    lines = [_line(execution, fields) for execution in looked.found[:SHOWN]]
    more = len(looked.found) - SHOWN
    return "\n".join(
        [
            f"{looked.name} was not enqueued with {_shown(fields)}; there is",
            *lines,
            *([f"  … and {more} more"] if more > 0 else []),
        ]
    )


def _shown(fields: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in fields.items()) or "any fields"


def _line(execution: Execution, fields: Mapping[str, Any]) -> str:
    names = dict.fromkeys(["request", *fields])
    return f"  {execution.id}: " + ", ".join(f"{n}={getattr(execution, n)!r}" for n in names)
