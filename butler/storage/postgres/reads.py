"""Reading executions, events and definitions."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from butler.errors import InvalidOption
from butler.executions import TERMINAL, ExecutionStatus
from butler.storage.finding import finds_status, finds_task, must_scan
from butler.storage.postgres import literals, rows
from butler.storage.records import Page
from butler.storage.values import text_refusal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from butler.executions import Execution
    from butler.storage.postgres.connections import PostgresConnections
    from butler.storage.records import ExecutionEvent, ExecutionQuery, Standing, TaskDefinition

MAX_PAGE = 1_000
_TIMES = (
    "created_after",
    "created_before",
    "started_after",
    "started_before",
    "finished_after",
    "finished_before",
)
# Ids carry the time of whoever made them, rows the server's: no producer is further off than this.
_CLOCKS_DIFFER = timedelta(hours=1)


class PostgresReads:
    """What is read of one ledger."""

    def __init__(self, connections: PostgresConnections) -> None:
        self._connections = connections

    def get(self, execution_id: str) -> Execution | None:
        """One execution with its attempts."""
        if not literals.is_uuid(execution_id):
            return None
        for row in self._connections.run("get", {"id": execution_id}, hot=True):
            return rows.full_execution(row)
        return None

    def get_many(self, ids: Sequence[str]) -> list[Execution]:
        """Those of these executions that exist, with their attempts."""
        found = self._connections.run("get_many", {"ids": literals.uuids(ids)}, hot=True)
        return [rows.full_execution(row) for row in found]

    def standings(self, ids: Sequence[str]) -> list[Standing]:
        """How those of these executions that exist stand."""
        found = self._connections.run("standings", {"ids": literals.uuids(ids)}, hot=True)
        return [rows.standing(row) for row in found]

    def find(self, query: ExecutionQuery) -> Page:
        """A page of executions, newest first; the cursor is the last id of the page before."""
        if not 1 <= query.limit <= MAX_PAGE:
            raise InvalidOption(f"limit must be in 1..{MAX_PAGE}, got {query.limit}")
        if query.after is not None and not literals.is_uuid(query.after):
            raise InvalidOption(f"after must be the next_cursor of a page, got {query.after!r}")
        if _finds_nothing(query):
            return Page(executions=(), next_cursor=None)
        params = _filters(query) | _page(query)
        found = self._connections.run("find", params)
        shown = found[: query.limit]
        executions = tuple(rows.execution(row) for row in shown)
        if len(found) > query.limit:
            return Page(executions=executions, next_cursor=shown[-1][0])
        last = self._last_scanned(params) if must_scan(query) else None
        return Page(executions=executions, next_cursor=last, truncated=last is not None)

    def _last_scanned(self, params: dict[str, Any]) -> str | None:
        """Where a page ended that was not filled; None where there was no more to look at."""
        for row in self._connections.run("find_scanned", params):
            return str(row[0])
        return None

    def count(self, query: ExecutionQuery) -> dict[ExecutionStatus, int]:
        """How many executions match, for each status that has any."""
        if _finds_nothing(query):
            return {}
        found = self._connections.run("count", _filters(query))
        return {ExecutionStatus(status): number for status, number in found}

    def events(self, execution_id: str) -> list[ExecutionEvent]:
        """The recorded progress of an execution, oldest first."""
        if not literals.is_uuid(execution_id):
            return []
        return [rows.event(row) for row in self._connections.run("events", {"id": execution_id})]

    def register_tasks(self, definitions: Sequence[TaskDefinition]) -> None:
        """Insert or replace definitions by name; of two with one name, the last."""
        latest = list({definition.name: definition for definition in definitions}.values())
        if not latest:
            return
        params = {
            "names": literals.texts([d.name for d in latest]),
            "descriptions": literals.texts([d.description for d in latest]),
            "tags": literals.texts([literals.texts(d.tags) for d in latest]),
            "request_schemas": literals.texts([json.dumps(d.request_schema) for d in latest]),
            "result_schemas": literals.texts([json.dumps(d.result_schema) for d in latest]),
            "options": literals.texts([json.dumps(d.options) for d in latest]),
            "fingerprints": literals.texts([d.fingerprint for d in latest]),
            "apps": literals.texts([d.app for d in latest]),
        }
        self._connections.run("register_tasks", params)
        said = [d.options.get("limit") for d in latest]
        rules = [None if rule is None else json.dumps(rule) for rule in said]
        declared = {"names": params["names"], "rules": literals.texts(rules)}
        self._connections.run("limit_declare", declared)
        self._connections.run("limit_tidy")

    def task_definitions(self) -> list[TaskDefinition]:
        """Every known definition, by name."""
        return [rows.task_definition(row) for row in self._connections.run("task_definitions")]


def _finds_nothing(query: ExecutionQuery) -> bool:
    """Whether a filter holds what no row can: an id that is none, text with NUL or surrogates."""
    ids = (query.parent_id, query.recurring_job_id)
    if any(id_ is not None and not literals.is_uuid(id_) for id_ in ids):
        return True
    words = [query.task, query.queue, query.tag, query.user_id, query.unique_key, query.text]
    for path, value in query.request:
        words += [*path, value]
    words += [*query.within.queues, *query.within.tags]
    return any(text_refusal(word) is not None for word in words)


def _filters(query: ExecutionQuery) -> dict[str, Any]:
    statuses = literals.texts(sorted(query.status)) if query.status else None
    by_index, within = finds_status(query), query.within
    unfinished = by_index and not query.status & TERMINAL
    fields = [{"path": path, "value": value} for path, value in query.request]
    return {
        "found_statuses": statuses if by_index and not unfinished else None,
        "unfinished": statuses if unfinished else None,
        "statuses": None if by_index else statuses,
        "found_task": query.task if finds_task(query) else None,
        "task": None if finds_task(query) else query.task,
        "queue": query.queue,
        "tag": query.tag,
        "user_id": query.user_id,
        "parent_id": query.parent_id,
        "recurring_job_id": query.recurring_job_id,
        "unique_key": query.unique_key,
        "text": None if query.text is None else f"%{_without_wildcards(query.text)}%",
        "request": json.dumps(fields) if fields else None,
        "queues_within": literals.texts(sorted(within.queues)) if within.queues else None,
        "tags_within": literals.texts(sorted(within.tags)) if within.tags else None,
        **{name: _time(getattr(query, name)) for name in _TIMES},
        "from_id": _id_at(query.created_after, slack=-_CLOCKS_DIFFER),
        "to_id": _id_at(_first_end(query), slack=_CLOCKS_DIFFER),
    }


def _page(query: ExecutionQuery) -> dict[str, Any]:
    return {
        "after": query.after,
        "limit": str(query.limit + 1),
        # Without filters the first rows are the page.
        "scan": str(query.scan if must_scan(query) else query.limit + 1),
        "skipped": str(query.scan - 1),
        "with_request": query.with_request,
        "with_result": query.with_result,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _first_end(query: ExecutionQuery) -> datetime | None:
    """What started or ended before then was created before."""
    ends = (query.created_before, query.started_before, query.finished_before)
    return min((end for end in ends if end is not None), default=None)


def _id_at(moment: datetime | None, *, slack: timedelta) -> str | None:
    """The least id of that time: ids begin with the time at which somebody made them."""
    if moment is None:
        return None
    try:
        milliseconds = int((moment + slack).timestamp() * 1000)
    except OverflowError:
        return None
    if not 0 <= milliseconds < 1 << 48:
        return None
    return str(uuid.UUID(int=milliseconds << 80))


def _without_wildcards(text: str) -> str:
    for special in ("\\", "%", "_"):
        text = text.replace(special, "\\" + special)
    return text
