"""Listing and counting in the memory ledger."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from butler.errors import InvalidOption
from butler.ids import is_id
from butler.storage.records import Page

if TYPE_CHECKING:
    from butler.executions import ExecutionStatus
    from butler.storage.memory.rows import Row, RowTable
    from butler.storage.records import ExecutionQuery

MAX_PAGE = 1_000


def find_page(rows: RowTable, query: ExecutionQuery) -> Page:
    """The page after the query's cursor, which is the last id of the page before."""
    if not 1 <= query.limit <= MAX_PAGE:
        raise InvalidOption(f"limit must be in 1..{MAX_PAGE}, got {query.limit}")
    if query.after is not None and not is_id(query.after):
        raise InvalidOption(f"after must be the next_cursor of a page, got {query.after!r}")
    found: list[Row] = []
    for row in rows.newest_first():
        if (query.after is None or row.id < query.after) and _matches(row, query):
            found.append(row)
        if len(found) > query.limit:
            break
    shown = found[: query.limit]
    return Page(
        executions=tuple(row.to_execution() for row in shown),
        next_cursor=shown[-1].id if len(found) > query.limit else None,
    )


def count_by_status(rows: RowTable, query: ExecutionQuery) -> dict[ExecutionStatus, int]:
    """How many rows match, for each status that has any."""
    return dict(Counter(row.status for row in rows.newest_first() if _matches(row, query)))


def _matches(row: Row, query: ExecutionQuery) -> bool:
    return (
        (not query.status or row.status in query.status)
        and _matches_request(row, query)
        and (query.text is None or query.text.casefold() in _error_message(row).casefold())
        and (query.created_after is None or row.created_at >= query.created_after)
        and (query.created_before is None or row.created_at < query.created_before)
    )


def _matches_request(row: Row, query: ExecutionQuery) -> bool:
    """The filters on what was asked for, which never changes."""
    new = row.new
    return (
        query.task in (None, new.task)
        and query.queue in (None, new.queue)
        and (query.tag is None or query.tag in new.tags)
        and query.user_id in (None, new.user_id)
        and query.parent_id in (None, new.parent_id)
        and query.unique_key in (None, new.unique_key)
    )


def _error_message(row: Row) -> str:
    return "" if row.error is None else str(json.loads(row.error)["message"])
