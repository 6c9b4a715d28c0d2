"""The query of a listing: its parameters, and the fields of requests among them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, Field

from butler.masking import MASK
from butler.storage.finding import field_text
from butler.web.models.executions import ExecutionFilter
from butler.web.problems import FieldError, invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from butler.executions import Execution
    from butler.listing import ListFilters
    from butler.storage.records import ExecutionQuery

BEGINNING = "request."
MAX_FIELD_CHARS = 200

_RANGES = ("created", "started", "finished")


class ListParameters(ExecutionFilter):
    """Filters, and which page."""

    # Request fields have names of their own; the route's door refuses the others.
    model_config = ConfigDict(extra="ignore")

    cursor: str | None = Field(None, max_length=36, description="The `next_cursor` before.")
    limit: int = Field(50, ge=1, le=500)


def listing(
    parameters: ListParameters, query: Mapping[str, str], *, is_secret: Callable[[str], bool]
) -> ListFilters:
    """The filters of `Butler.list`; a `Problem` for what would be too slow or too curious."""
    filters: ListFilters = filters_of(parameters)
    filters["cursor"], filters["limit"] = parameters.cursor, parameters.limit
    fields = {
        name.removeprefix(BEGINNING): value
        for name, value in query.items()
        if name.startswith(BEGINNING)
    }
    if fields:
        _check_fields(fields, is_secret=is_secret)
        _check_bounded(filters, BEGINNING + next(iter(fields)))
        filters["request"] = fields
    return filters


def check_selection(ids: object, given: ExecutionFilter | None) -> None:
    """Either ids or a filter that filters something: nothing is done to all by mistake."""
    empty = given is not None and not given.model_dump(exclude_defaults=True)
    if (ids is None) == (given is None) or empty:
        raise invalid(
            [FieldError(loc=["body"], msg="give either ids, or a filter with at least one field")]
        )


def filters_of(given: ExecutionFilter) -> Any:
    """What `Butler.list` takes, of what was given."""
    filters: dict[str, Any] = {
        name: getattr(given, name)
        for name in ExecutionFilter.model_fields
        if getattr(given, name) not in (None, [])
    }
    if "text" in filters:
        _check_bounded(filters, "text")
    return filters


def still_matches(masked: Execution, query: ExecutionQuery) -> bool:
    """Whether an execution matches as it is shown, and not only by what is masked in it."""
    if query.text is not None:
        message = masked.error.message if masked.error is not None else ""
        if query.text.casefold() not in message.casefold():
            return False
    if not query.request:
        return True
    request = json.dumps(masked.request)
    return all(field_text(request, path) != MASK or value == MASK for path, value in query.request)


def _check_bounded(filters: Mapping[str, object], name: str) -> None:
    """A search through everything would be slow, and the answer mostly old."""
    ranges = any(filters.get(f"{kind}_{end}") for kind in _RANGES for end in ("after", "before"))
    if not ranges and not filters.get("task"):
        raise invalid(
            [
                FieldError(
                    loc=["query", name],
                    msg="needs a task or a time range beside it (created_after, finished_after, …)",
                )
            ]
        )


def _check_fields(fields: Mapping[str, str], *, is_secret: Callable[[str], bool]) -> None:
    for name, value in fields.items():
        loc = ["query", BEGINNING + name]
        if len(name) > MAX_FIELD_CHARS or len(value) > MAX_FIELD_CHARS:
            raise invalid([FieldError(loc=loc, msg=f"at most {MAX_FIELD_CHARS} characters")])
        if not all(name.split(".")):
            raise invalid([FieldError(loc=loc, msg="name a field, as request.order.number")])
        # Who may not read a secret may not guess at it either.
        if any(is_secret(step) for step in name.split(".")):
            raise invalid([FieldError(loc=loc, msg="is secret, and cannot be searched for")])
