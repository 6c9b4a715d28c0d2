"""Whether what was read back is what was sent, and where it is not (pure).

`difference` walks both values side by side and compares exact types, because ``==`` is content
with too much: a model with a lying ``__eq__``, ``True`` for ``1``, an `OrderedDict` for a dict.
It descends by attribute and builds the path on the way back, so that equal values, which are
nearly all, cost no path. Messages name places and types, never values: payloads may be secret.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import BaseModel, Secret, SecretBytes, SecretStr

from butler.codec.places import fault_of, step_of

if TYPE_CHECKING:
    from butler.codec.places import Path

_MISSING: Any = type("_Missing", (), {"__repr__": lambda _: "nothing"})()
_IDENTITY: Any = object.__eq__
_PLAIN = frozenset({str, int, bool, bytes, type(None)})
_QUICK = _PLAIN | {float}
SECRETS = (SecretStr, SecretBytes, Secret)
# A number of another kind than the field's (an int as a default, say) arrives as the field's.
_NUMBERS = frozenset({int, float, Decimal})
# Values whose subclasses (pendulum's and freezegun's dates, a StrEnum in a str field, numpy's
# float) may arrive as the plain type: they are equal, and the field promised no more.
_VALUES = frozenset({str, int, float, bytes, Decimal, UUID, datetime, date, time, timedelta})


class Difference:
    """Where two values part: ``path`` from the outermost value, and the reason in words."""

    __slots__ = ("_steps", "reason")

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self._steps: list[str | int] = []

    def under(self, step: str | int) -> Difference:
        """The same difference, seen from one level further out."""
        self._steps.append(step)
        return self

    @property
    def path(self) -> Path:
        """From the outermost value down to where it differs."""
        return tuple(reversed(self._steps))


def difference(sent: Any, got: Any) -> Difference | None:
    """The first place where ``got`` is not what was sent, or None."""
    if sent is got:
        return None
    kind = type(sent)
    if kind is not type(got):
        return _of_other_type(sent, got)
    if kind in _PLAIN:
        return None if sent == got else _changed(sent)
    if issubclass(kind, BaseModel):
        return _models(sent, got)
    compare = _COMPARISONS.get(kind)
    if compare is not None:
        return compare(sent, got)
    if dataclasses.is_dataclass(kind):
        return _named([field.name for field in dataclasses.fields(kind)], sent, got)
    if issubclass(kind, Mapping):
        return _mappings(sent, got)
    if issubclass(kind, (list, tuple)):
        return _sequences(sent, got)
    return _opaque(sent, got)


def _changed(sent: object) -> Difference:
    return Difference(f"the value ({type(sent).__name__}) would arrive changed")


def _of_other_type(sent: Any, got: Any) -> Difference | None:
    kind, other = type(sent), type(got)
    if issubclass(kind, BaseModel) and _origin(kind) is _origin(other):
        return _models(sent, got)
    if kind is not bool and other is not bool:
        numbers = kind in _NUMBERS and other in _NUMBERS
        if (numbers or (other in _VALUES and isinstance(sent, other))) and sent == got:
            return None
    if got is _MISSING:
        return Difference("it would be lost")
    if sent is _MISSING:
        return Difference("it would appear out of nothing")
    return Difference(f"{_name(kind)} would arrive as {_name(other)}")


def _name(kind: type) -> str:
    return "None" if kind is type(None) else kind.__qualname__


def _origin(kind: type) -> object:
    # Box(item=1) and Box[int](item=1) are one class to pydantic's own ==, and here.
    metadata = getattr(kind, "__pydantic_generic_metadata__", None)
    return (metadata and metadata["origin"]) or kind


def _models(sent: BaseModel, got: BaseModel) -> Difference | None:
    theirs, ours = got.__dict__, sent.__dict__
    for name in type(sent).__pydantic_fields__:
        mine, other = ours.get(name, _MISSING), theirs.get(name, _MISSING)
        kind = type(mine)
        # What most fields are, without a call: this runs for each enqueue.
        if kind is type(other) and kind in _QUICK and mine == other:
            continue
        found = difference(mine, other)
        if found is not None:
            return found.under(name)
    for kept in ("__pydantic_extra__", "__pydantic_private__"):
        mine, other = getattr(sent, kept, None), getattr(got, kept, None)
        if mine or other:
            found = _mappings(mine or {}, other or {})
            if found is not None:
                return found
    return None


def _named(names: Iterable[str], sent: object, got: object) -> Difference | None:
    for name in names:
        found = difference(getattr(sent, name, _MISSING), getattr(got, name, _MISSING))
        if found is not None:
            return found.under(name)
    return None


def _mappings(sent: Mapping[Any, Any], got: Mapping[Any, Any]) -> Difference | None:
    for key, value in sent.items():
        other = got.get(key, _MISSING)
        if other is _MISSING:
            return _lost(key)
        found = difference(value, other)
        if found is not None:
            return found.under(step_of(key))
    for key in got:
        if key not in sent:
            return Difference("it would appear out of nothing").under(step_of(key))
    return None


def _sequences(sent: Any, got: Any) -> Difference | None:
    for index, (one, other) in enumerate(zip(sent, got, strict=False)):
        found = difference(one, other)
        if found is not None:
            return found.under(index)
    if len(sent) != len(got):
        return Difference(f"{len(sent)} items would arrive as {len(got)}")
    return None


def _lost(key: object) -> Difference:
    if not isinstance(key, str):
        return Difference(f"the key ({_name(type(key))}) would arrive as text").under(step_of(key))
    fault = fault_of(key)  # pydantic writes keys with lone surrogates as other keys
    if fault:
        return Difference(f"a key with {fault} cannot be stored")
    return Difference("it would be lost").under(key)


def _deques(sent: deque[Any], got: deque[Any]) -> Difference | None:
    if sent.maxlen != got.maxlen:
        return Difference("its maxlen would be lost")
    return _sequences(sent, got)


def _floats(sent: float, got: float) -> Difference | None:
    same = sent == got or (sent != sent and got != got)  # NaN equals nothing
    return None if same else _changed(sent)


def _instants(sent: datetime, got: datetime) -> Difference | None:
    # == is false between zones when a local time happens twice (PEP 495); offsets decide.
    same = sent.utcoffset() == got.utcoffset() and (
        sent.replace(tzinfo=None, fold=0) == got.replace(tzinfo=None, fold=0)
    )
    return None if same else _changed(sent)


def _times(sent: time, got: time) -> Difference | None:
    # A zone without a date has no offset, so == does not see that it is gone.
    if (sent.tzinfo is None) != (got.tzinfo is None):
        return Difference("its time zone would be lost")
    return None if sent == got else _changed(sent)


def _secrets(sent: Any, got: Any) -> Difference | None:
    return difference(sent.get_secret_value(), got.get_secret_value())


_COMPARISONS: dict[type, Callable[[Any, Any], Difference | None]] = {
    float: _floats,
    dict: _mappings,
    list: _sequences,
    tuple: _sequences,
    deque: _deques,
    datetime: _instants,
    time: _times,
    SecretStr: _secrets,
    SecretBytes: _secrets,
}


def _opaque(sent: Any, got: Any) -> Difference | None:
    """Compare two objects of one class that the codec knows nothing about."""
    if isinstance(sent, SECRETS):
        return _secrets(sent, got)
    try:
        if sent == got or (sent != sent and got != got):  # a NaN of its own kind
            return None
    except Exception as exc:  # noqa: BLE001  # the user's own __eq__
        return Difference(f"it cannot be compared with what arrives ({type(exc).__name__})")
    if getattr(type(sent), "__eq__", None) is not _IDENTITY:
        return _changed(sent)
    slots = [
        name
        for cls in type(sent).__mro__
        for name in _slot_names(getattr(cls, "__slots__", ()))
        if name not in ("__dict__", "__weakref__")
    ]
    return _named([*getattr(sent, "__dict__", {}), *slots], sent, got)


def _slot_names(slots: str | Iterable[str]) -> list[str]:
    return [slots] if isinstance(slots, str) else list(slots)
