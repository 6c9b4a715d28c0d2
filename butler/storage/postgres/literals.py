"""Batches as Postgres array literals: one text parameter for each column.

psycopg can dump lists, but gives a list of ints the type of its largest member, and so a prepared
statement for each mix of types; and its list dumper costs more than the rows' work. A literal with
a cast in the statement has one type, and costs a join.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeGuard, cast

from butler.ids import are_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_uuid(text: str | None) -> bool:
    """Whether this is a canonical UUID; anything else is no id that the ledger could hold."""
    return text is not None and _UUID.fullmatch(text) is not None


def are_uuids(values: Sequence[str | None]) -> TypeGuard[Sequence[str]]:
    """Whether all of them are, and there is one at least; looked at in one go."""
    return None not in values and are_ids(cast("Sequence[str]", values))


def uuids(values: Iterable[str | None]) -> str:
    """An array of UUIDs; what is none becomes NULL, which equals nothing."""
    values = list(values)
    if are_uuids(values):
        return "{" + ",".join(values) + "}"
    return "{" + ",".join([v if v and is_uuid(v) else "NULL" for v in values]) + "}"


def numbers(values: Iterable[float | None]) -> str:
    """An array of ints or floats."""
    values = list(values)
    once, times_ = (values[:1], len(values)) if _alike(values) else (values, 1)
    return "{" + ",".join(["NULL" if v is None else repr(v) for v in once] * times_) + "}"


def flags(values: Iterable[bool]) -> str:
    """An array of booleans."""
    return "{" + ",".join(["t" if v else "f" for v in values]) + "}"


def texts(values: Iterable[str | None]) -> str:
    """An array of texts."""
    values = list(values)
    if _alike(values):
        quoted = ["NULL" if values[0] is None else _quoted(values[0])] * len(values)
    else:
        quoted = ["NULL" if v is None else _quoted(v) for v in values]
    return "{" + ",".join(quoted) + "}"


def times(values: Iterable[datetime | None]) -> str:
    """An array of aware times."""
    return texts([None if v is None else v.isoformat() for v in values])


def optional(values: Sequence[str | None]) -> str | None:
    """An array of texts, or None where there is none: ``unnest`` pads a NULL array."""
    return texts(values) if any(v is not None for v in values) else None


def without_wildcards(text: str) -> str:
    """The text as a pattern of LIKE that means just itself."""
    for special in ("\\", "%", "_"):
        text = text.replace(special, "\\" + special)
    return text


def _alike(values: Sequence[object]) -> bool:
    """Whether a column holds one value: the task of a bulk enqueue, the attempts of a finish."""
    return len(values) > 1 and values.count(values[0]) == len(values)


def _quoted(text: str) -> str:
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    if '"' in text:
        text = text.replace('"', '\\"')
    return f'"{text}"'
