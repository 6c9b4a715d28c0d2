"""Where in a value something is that cannot be written or stored (pure).

Used only once a value is known to be refused, so nothing here is on the hot path.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from pydantic import BaseModel

Path: TypeAlias = tuple[str | int, ...]

LONE_SURROGATE = "a lone surrogate (\\ud800..\\udfff)"


def culprit(value: Any, write: Callable[[Any], object]) -> Path:
    """The path of the part that makes ``write(include)`` raise, as far in as can be told.

    Halves what is written until one part is left, so that a long list costs few attempts.
    """
    path: list[Any] = []
    around: set[int] = set()  # a value that contains itself has no innermost part
    while id(value) not in around:
        around.add(id(value))
        steps = _steps_of(value)
        while len(steps) > 1:
            half = steps[: len(steps) // 2]
            steps = half if _fails(write, path, half) else steps[len(steps) // 2 :]
        if not steps or not _fails(write, path, steps):
            break
        value = _part(value, steps[0])
        path.append(steps[0])
    return tuple(step_of(step) for step in path)


def _fails(write: Callable[[Any], object], path: list[Any], steps: list[Any]) -> bool:
    include: Any = dict.fromkeys(steps, True)
    for step in reversed(path):
        include = {step: include}
    try:
        write(include)
    except Exception:  # noqa: BLE001  # whatever pydantic or a user's serializer raises
        return True
    return False


def _steps_of(value: Any) -> list[Any]:
    if isinstance(value, BaseModel):
        return [*type(value).__pydantic_fields__, *(value.__pydantic_extra__ or {})]
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value)]
    if isinstance(value, Mapping):
        return list(value)
    if isinstance(value, (list, tuple)):
        return list(range(len(value)))
    return []


def _part(value: Any, step: Any) -> Any:
    by_key = isinstance(value, (Mapping, list, tuple))
    return value[step] if by_key else getattr(value, step, None)


def non_finite(value: Any) -> Path | None:
    """Where the first NaN or infinity is that the type writes as null."""
    if isinstance(value, float):
        return None if math.isfinite(value) else ()
    for step in _steps_of(value):
        below = non_finite(_part(value, step))
        if below is not None:
            return (step_of(step), *below)
    return None


def unstorable(text: str) -> tuple[Path, str] | None:
    """Where JSON text holds what Postgres cannot: NUL in a string or key, NaN, an infinity."""
    # No number is needed, and int() refuses more than 4,300 digits.
    parsed = json.loads(
        text, parse_int=lambda _: 0, parse_float=lambda _: 0, parse_constant=_NotJson
    )
    return unstorable_in(parsed)


class _NotJson:
    def __init__(self, literal: str) -> None:
        self.literal = literal


def unstorable_in(value: object, path: Path = ()) -> tuple[Path, str] | None:
    """The same of plain data, where strings and keys may also hold lone surrogates."""
    if isinstance(value, _NotJson):
        return path, f"JSON has no {value.literal}"
    if isinstance(value, str):
        fault = fault_of(value)
        return (path, f"text with {fault} cannot be stored") if fault else None
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for step, item in items:
        fault = fault_of(step) if isinstance(step, str) else None
        if fault:
            return path, f"a key with {fault} cannot be stored"
        found = unstorable_in(item, (*path, step))
        if found is not None:
            return found
    return None


def fault_of(text: str) -> str | None:
    """Why Postgres cannot hold this text in JSON, or None."""
    if "\0" in text:
        return "a NUL character (\\u0000)"
    try:
        text.encode()
    except UnicodeEncodeError:
        return LONE_SURROGATE
    return None


def path_text(path: Iterable[str | int]) -> str:
    """``items[2].price``; empty for the outermost value."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step == "[key]":  # pydantic's way to say that a key is meant
            text += " (key)"
        elif step.isidentifier():
            text += f".{step}" if text else step
        else:
            text += f"[{step!a}]"
    return text


def step_of(key: object) -> str | int:
    """A mapping's key as a step of a path; a key of another kind is named by its type."""
    return key if isinstance(key, (str, int)) else type(key).__name__
