"""What a listing of executions can be asked for, as callers write it and as the ledger takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from butler.errors import InvalidOption
from butler.executions import ExecutionStatus
from butler.option_texts import check_aware
from butler.storage.records import ExecutionQuery

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

MAX_PAGE = 1_000
MAX_FIELDS = 10

_TIMES = (
    "created_after",
    "created_before",
    "started_after",
    "started_before",
    "finished_after",
    "finished_before",
)


class ListFilters(TypedDict, total=False):
    """What `Butler.list` takes; every filter must hold, and None is the same as leaving it out.

    ``status`` is one status or several. ``recurring_job`` is a name or an id. ``text`` is looked
    for in the error message. ``request`` holds fields of the request that must be these scalars, as
    ``{"to": "ada@example.com", "order.number": 7}``. ``…_after`` is inclusive, ``…_before`` is not.
    ``cursor`` is the ``next_cursor`` of the page before, ``limit`` is 1..1000.
    """

    status: str | Iterable[str]
    task: str | None
    queue: str | None
    tag: str | None
    user_id: str | None
    parent_id: str | None
    recurring_job: str | None
    unique_key: str | None
    text: str | None
    request: Mapping[str, object] | None
    created_after: datetime | None
    created_before: datetime | None
    started_after: datetime | None
    started_before: datetime | None
    finished_after: datetime | None
    finished_before: datetime | None
    cursor: str | None
    limit: int


def execution_query(
    *, recurring_job_id: str | None = None, **filters: Unpack[ListFilters]
) -> ExecutionQuery:
    """The query for these filters; ``recurring_job`` has been looked up. Raises `InvalidOption`."""
    limit = filters.get("limit", 100)
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidOption(f"limit must be in 1..{MAX_PAGE}, got {limit!r}")
    given: dict[str, Any] = dict(filters)
    times: dict[str, Any] = {name: _aware_or_none(name, given.get(name)) for name in _TIMES}
    return ExecutionQuery(
        status=_statuses(filters.get("status", ())),
        task=filters.get("task"),
        queue=filters.get("queue"),
        tag=filters.get("tag"),
        user_id=filters.get("user_id"),
        parent_id=filters.get("parent_id"),
        recurring_job_id=recurring_job_id,
        unique_key=filters.get("unique_key"),
        text=filters.get("text"),
        request=_fields(filters.get("request") or {}),
        **times,
        after=filters.get("cursor"),
        limit=limit,
    )


def _statuses(status: str | Iterable[str]) -> frozenset[ExecutionStatus]:
    given = [status] if isinstance(status, str) else status
    try:
        return frozenset(ExecutionStatus(item) for item in given)
    except ValueError as error:
        known = ", ".join(item.value for item in ExecutionStatus)
        raise InvalidOption(f"status must be one of {known}: {error}") from None


def _fields(fields: Mapping[str, object]) -> tuple[tuple[tuple[str, ...], str], ...]:
    if len(fields) > MAX_FIELDS:
        raise InvalidOption(f"request must name at most {MAX_FIELDS} fields, got {len(fields)}")
    return tuple((tuple(name.split(".")), _scalar(name, value)) for name, value in fields.items())


def _scalar(name: str, value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float() | str():
            return str(value)
    raise InvalidOption(f"request field {name!r} must be a str, number or bool, got {value!r}")


def _aware_or_none(option: str, value: datetime | None) -> datetime | None:
    return None if value is None else check_aware(option, value)
