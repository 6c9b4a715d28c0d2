"""Listing and counting in the memory ledger."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from butler.errors import InvalidOption
from butler.ids import is_id
from butler.storage.finding import field_text, finds_status, finds_task, must_scan
from butler.storage.records import Page

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from butler.executions import Execution, ExecutionStatus
    from butler.storage.memory.rows import Row, RowTable
    from butler.storage.records import ExecutionQuery

MAX_PAGE = 1_000


def find_page(rows: RowTable, query: ExecutionQuery, *, fired: Collection[str] | None) -> Page:
    """The page after the query's cursor, which is the last id of the page before.

    ``fired`` are the executions of the recurring job that is asked for.
    """
    if not 1 <= query.limit <= MAX_PAGE:
        raise InvalidOption(f"limit must be in 1..{MAX_PAGE}, got {query.limit}")
    if query.after is not None and not is_id(query.after):
        raise InvalidOption(f"after must be the next_cursor of a page, got {query.after!r}")
    found: list[Row] = []
    looked_at, scans = 0, must_scan(query)
    for row in rows.newest_first():
        if (query.after is not None and row.id >= query.after) or not _is_indexed(
            row, query, fired
        ):
            continue
        looked_at += 1
        if _matches(row, query):
            found.append(row)
        if len(found) > query.limit or (scans and looked_at == query.scan):
            break
    shown = found[: query.limit]
    executions = tuple(_shown(row, query) for row in shown)
    if len(found) > query.limit:
        return Page(executions=executions, next_cursor=shown[-1].id)
    truncated = scans and looked_at == query.scan
    return Page(
        executions=executions, next_cursor=row.id if truncated else None, truncated=truncated
    )


def count_by_status(
    rows: RowTable, query: ExecutionQuery, *, fired: Collection[str] | None
) -> dict[ExecutionStatus, int]:
    """How many rows match, for each status that has any."""
    found = (row for row in rows.newest_first() if _is_indexed(row, query, fired))
    return dict(Counter(row.status for row in found if _matches(row, query)))


def _shown(row: Row, query: ExecutionQuery) -> Execution:
    execution = row.to_execution()
    if not query.with_request:
        execution = replace(execution, request=None)
    return execution if query.with_result else replace(execution, result=None)


def _is_indexed(row: Row, query: ExecutionQuery, fired: Collection[str] | None) -> bool:
    """What an index answers in Postgres."""
    return (
        (not finds_status(query) or row.status in query.status)
        and (not finds_task(query) or query.task == row.new.task)
        and query.user_id in (None, row.new.user_id)
        and query.parent_id in (None, row.new.parent_id)
        and (fired is None or row.id in fired)
        and _between(row.created_at, query.created_after, query.created_before)
    )


def _matches(row: Row, query: ExecutionQuery) -> bool:
    return (
        (not query.status or row.status in query.status)
        and _matches_request(row, query)
        and (query.text is None or query.text.casefold() in _error_message(row).casefold())
        and _between(row.started_at, query.started_after, query.started_before)
        and _between(row.finished_at, query.finished_after, query.finished_before)
    )


def _between(moment: datetime | None, after: datetime | None, before: datetime | None) -> bool:
    if after is None and before is None:
        return True
    return (
        moment is not None
        and (after is None or moment >= after)
        and (before is None or moment < before)
    )


def _matches_request(row: Row, query: ExecutionQuery) -> bool:
    """The filters on what was asked for, which never changes."""
    new = row.new
    return (
        query.task in (None, new.task)
        and query.queue in (None, new.queue)
        and (query.tag is None or query.tag in new.tags)
        and query.unique_key in (None, new.unique_key)
        and query.within.holds(queue=new.queue, tags=new.tags)
        and all(field_text(new.request, path) == value for path, value in query.request)
    )


def _error_message(row: Row) -> str:
    return "" if row.error is None else str(json.loads(row.error)["message"])
