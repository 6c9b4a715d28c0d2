"""Requests and results as JSON values, without loss (pure)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pydantic_core
from pydantic import BaseModel

from butler.codec import Codec
from butler.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Hashable

_PLAIN = (str, int, float, bool, type(None), list, tuple, Mapping)


def request_json(task: str, request: Any, *, as_type: Any = None) -> Any:
    """A request as a JSON value: plain data as it is, anything else by its type.

    A model's secrets are written as they are, for they are what the worker needs. Raises
    `InvalidRequest` for what would not arrive equal.
    """
    if as_type is None and isinstance(request, _PLAIN) and not isinstance(request, BaseModel):
        try:
            return pydantic_core.to_jsonable_python(request, by_alias=True)
        except pydantic_core.PydanticSerializationError as error:
            raise InvalidRequest(f"request of {task!r}: {error}") from None
    codec = _codec(as_type or type(request), f"request of {task!r}")
    text = codec.encode(request)
    return None if text is None else json.loads(text)


def result_of(result: Any, *, as_type: Any, task: str) -> Any:
    """A result as the caller's type; raises `InvalidRequest` for one that does not fit it."""
    if as_type is None:
        return result
    return _codec(as_type, f"result of {task!r}").decode(json.dumps(result))


def _codec(type_: Any, label: str) -> Codec:
    try:
        return _kept_codec(type_, label)
    except TypeError:
        # A type that cannot be hashed.
        return Codec(type_, label=label)


@lru_cache(maxsize=1_000)
def _kept_codec(type_: Hashable, label: str) -> Codec:
    return Codec(type_, label=label)
