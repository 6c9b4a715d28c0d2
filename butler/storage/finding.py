"""Which filters of a listing an index answers, and how many rows the others may cost (pure).

A ledger of ten million rows has an index for the filters that find few rows of many: what failed
or was cancelled, what is not over, a user's, a parent's, a recurring job's, a time of creation.
Indexes for the others would make each enqueue and each finish slower, for good: so they are looked
at row by row, newest first, and no more than `ROWS_SCANNED` rows a page. A page that ends there
says so (``truncated``) and can be continued.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from butler.executions import TERMINAL, ExecutionStatus

if TYPE_CHECKING:
    from butler.storage.records import ExecutionQuery

ROWS_SCANNED = 20_000

_BAD = frozenset({ExecutionStatus.FAILED, ExecutionStatus.CANCELLED})
_UNFINISHED = frozenset(ExecutionStatus) - TERMINAL


def finds_status(query: ExecutionQuery) -> bool:
    """Whether the query's states are those of an index."""
    return bool(query.status) and (query.status <= _BAD or query.status <= _UNFINISHED)


def must_scan(query: ExecutionQuery) -> bool:
    """Whether any filter has to be held against one row after the other."""
    return (
        (bool(query.status) and not finds_status(query))
        or query.queue is not None
        or query.tag is not None
        or query.unique_key is not None
        or query.text is not None
        or query.started_after is not None
        or query.started_before is not None
        or query.finished_after is not None
        or query.finished_before is not None
        or bool(query.request)
        or not query.within.everything
        or (query.task is not None and not finds_task(query))
    )


def finds_task(query: ExecutionQuery) -> bool:
    """Whether the task is looked up together with the states."""
    return query.task is not None and bool(query.status) and query.status <= _BAD


def field_text(request: str | None, path: tuple[str, ...]) -> str | None:
    """The scalar at a place of a request, as JSON writes it, text without quotes; None for others.

    What ``#>>`` says in Postgres.
    """
    if request is None:
        return None
    value: Any = json.loads(request, parse_int=_Number, parse_float=_Number)
    for step in path:
        try:
            value = value[int(step)] if isinstance(value, list) else value[step]
        except (LookupError, TypeError, ValueError):
            return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str) else None


class _Number(str):
    """A number as it is written; in which nothing can be looked up."""

    __slots__ = ()
