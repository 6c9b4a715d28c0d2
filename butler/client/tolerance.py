"""Reading what an older server says, which knows less than this client (pure).

What it does not know yet, it leaves out: that is taken for nothing (null, no, none of them) where a
field can say so. A field that has no such value is one that every server sends, and its absence
means that somebody else has answered. What a newer server says besides is ignored by pydantic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import pydantic_core
from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic_core import ErrorDetails

M = TypeVar("M", bound=BaseModel)

_MISSING = "missing"
# By what pydantic says when null is none of a field's values.
_NOTHING: dict[str, Any] = {"bool_type": False, "list_type": [], "dict_type": {}}


def read_model(model: type[M], text: str | bytes) -> M:
    """The model that this JSON stands for; raises `ValidationError`."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        missing = error.errors(include_url=False, include_input=False)
        if any(each["type"] != _MISSING for each in missing):
            raise
        return _completed(model, pydantic_core.from_json(text), missing, error)


def _completed(
    model: type[M], found: Any, missing: Iterable[ErrorDetails], error: ValidationError
) -> M:
    for each in missing:
        _put(found, each["loc"], None, error)
    try:
        return model.model_validate_json(pydantic_core.to_json(found))
    except ValidationError as still:
        for each in still.errors(include_url=False, include_input=False):
            if each["type"] not in _NOTHING:
                raise error from None
            _put(found, each["loc"], _NOTHING[each["type"]], error)
    try:
        return model.model_validate_json(pydantic_core.to_json(found))
    except ValidationError:
        raise error from None


def _put(found: Any, place: tuple[str | int, ...], value: Any, error: ValidationError) -> None:
    """Set what stands at this place; raises ``error`` where there is no such place."""
    try:
        for step in place[:-1]:
            found = found[step]
        found[place[-1]] = value
    except (LookupError, TypeError):
        raise error from None
