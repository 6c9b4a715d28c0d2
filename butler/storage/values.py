"""What the memory ledger refuses to hold, because Postgres would.

A program that is tested on `MemoryStorage` must not meet its first NUL in production. Postgres
takes no NUL and no lone surrogate in any text, and neither those nor NaN and the infinities in
jsonb.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, NoReturn

from butler.errors import InvalidOption, InvalidRequest
from butler.ids import is_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from butler.lifecycle import Transition
    from butler.storage.records import NewExecution
    from butler.storage.recurring_records import RecurringDefinition

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def text_refusal(text: str | None) -> str | None:
    """Why this text cannot be stored; None when it can."""
    found = _UNSTORABLE.search(text) if text is not None else None
    if found is None:
        return None
    return f"text must hold no NUL and no lone surrogate, got \\u{ord(found.group()):04x}"


def json_refusal(text: str | None) -> str | None:
    """Why this JSON text cannot be stored; None when it can."""
    if text is None:
        return None
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        return f"the value is no JSON: {error}"
    return text_refusal(text) or _refusal_within(value)


def transition_refusal(transition: Transition) -> str | None:
    """Why the values of a transition cannot be stored; None when they can."""
    try:
        error = json.dumps(transition.error.to_json()) if transition.error else None
    except (TypeError, ValueError) as not_json:
        return f"the error's details are no JSON: {not_json}"
    return json_refusal(transition.result) or json_refusal(error) or text_refusal(transition.reason)


def clean_text(text: str | None) -> str | None:
    """The text with what cannot be stored replaced, for words that are never refused."""
    return None if text is None else _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def clean_json(value: Any) -> Any:
    """A JSON value with each text in it cleaned; infinities and their kin become None."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {clean_text(str(key)): clean_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def check_insertable(executions: Sequence[NewExecution]) -> None:
    """Raise `InvalidRequest` or `InvalidOption` for the first execution that cannot be stored."""
    for new in executions:
        for id_ in (new.id, new.parent_id, new.rerun_of):
            if id_ is not None and not is_id(id_):
                raise InvalidOption(f"an execution id must be a canonical UUID, got {id_!r}")
        refusal = json_refusal(new.request)
        if refusal is not None:
            raise InvalidRequest(f"the request of {new.task!r} cannot be stored: {refusal}")
        for text in (new.task, new.queue, new.unique_key, new.user_id, *new.tags):
            refusal = text_refusal(text)
            if refusal is not None:
                raise InvalidOption(f"an option of {new.task!r} cannot be stored: {refusal}")


def check_recurring(definition: RecurringDefinition) -> None:
    """Raise `InvalidRequest` or `InvalidOption` for a recurring job that cannot be stored."""
    name = definition.name
    if not is_id(definition.id):
        raise InvalidOption(f"a recurring job's id must be a UUID, got {definition.id!r}")
    refusal = json_refusal(definition.request)
    if refusal is not None:
        raise InvalidRequest(f"the request of recurring job {name!r} cannot be stored: {refusal}")
    texts = (definition.task, definition.description, definition.owner, definition.source)
    for text in (name, *texts, definition.unique_key, definition.queue, *definition.tags):
        refusal = text_refusal(text)
        if refusal is not None:
            raise InvalidOption(f"recurring job {name!r} cannot be stored: {refusal}")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _refusal_within(value: Any) -> str | None:
    """Look at decoded strings: in JSON text a NUL hides as an escape."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(item)
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, str):
            refusal = text_refusal(item)
            if refusal is not None:
                return refusal
    return None
