"""Fair keys: what ``fair_by`` makes of a request (pure). What they are for: `butler.turns`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

from butler.errors import DefinitionError, InvalidOption, did_you_mean
from butler.option_texts import MAX_KEY_CHARS, check_text
from butler.queue_names import check_queue_name

if TYPE_CHECKING:
    from collections.abc import Iterable

FairBy: TypeAlias = str | Callable[[Any], object]


def check_fair_by(value: Any) -> FairBy | None:
    """A field's name, with dots a field of a field, or a function; raises `InvalidOption`."""
    if value is None or callable(value):
        return value  # type: ignore[no-any-return]
    if not isinstance(value, str) or not all(value.split(".")):
        raise InvalidOption(
            f"fair_by must name a field of the request, or be a function of it, got {value!r}"
        )
    return check_text("fair_by", value, max_chars=MAX_KEY_CHARS)


def check_fair_queues(given: Mapping[str, Any] | None) -> dict[str, FairBy]:
    """What a `Butler` says for whole queues, by their names; raises `InvalidOption`."""
    return {
        check_queue_name(queue): fair_by
        for queue, value in (given or {}).items()
        if (fair_by := check_fair_by(value)) is not None
    }


def check_fair_key(value: object) -> str:
    """A fair key that the ledger can hold; raises `InvalidOption`."""
    return check_text("fair_key", value, max_chars=MAX_KEY_CHARS)


def check_field(fair_by: FairBy | None, request_type: Any, *, where: str) -> None:
    """Refuse a field that requests of this type do not have; raises `DefinitionError`.

    Only models tell which fields they have; of anything else it is believed.
    """
    fields: Iterable[str] | None = getattr(request_type, "model_fields", None)
    if not isinstance(fair_by, str) or fields is None:
        return
    name = fair_by.partition(".")[0]
    if name not in fields:
        raise DefinitionError(
            f"{where}: fair_by names a field of the request, and {request_type.__name__} has no "
            f"{name!r}{did_you_mean(name, list(fields))}"
        )


def fair_key(fair_by: FairBy | None, request: Any) -> str | None:
    """The key of one request: a model, an object or what JSON made of one; None without one.

    Raises `InvalidOption` for a key that the ledger cannot hold, and what a function raises.
    """
    if fair_by is None:
        return None
    value = fair_by(request) if callable(fair_by) else _field(request, fair_by.split("."))
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        value = str(value).lower()  # as JSON has it, and so SQL
    return None if value is None else check_fair_key(str(value))


def json_path(fair_by: FairBy | None, request_type: Any, *, by_alias: bool) -> list[str] | None:
    """Where the named field stands in a request's JSON; None where only code can tell the key."""
    if not isinstance(fair_by, str):
        return None
    path = []
    for name in fair_by.split("."):
        field = (getattr(request_type, "model_fields", None) or {}).get(name)
        request_type = getattr(field, "annotation", None)
        alias = getattr(field, "serialization_alias", None) if by_alias else None
        path.append(alias or name)
    return path


def _field(value: Any, path: Iterable[str]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
    return value
