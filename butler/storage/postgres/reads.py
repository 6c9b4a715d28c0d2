"""Reading executions, events and definitions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from butler.errors import InvalidOption
from butler.executions import ExecutionStatus
from butler.storage.postgres import literals, rows
from butler.storage.records import Page
from butler.storage.values import text_refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from butler.executions import Execution
    from butler.storage.postgres.connections import PostgresConnections
    from butler.storage.records import ExecutionEvent, ExecutionQuery, Standing, TaskDefinition

MAX_PAGE = 1_000


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
        params = _filters(query) | {"after": query.after, "limit": str(query.limit + 1)}
        found = self._connections.run("find", params)
        shown = found[: query.limit]
        return Page(
            executions=tuple(rows.execution(row) for row in shown),
            next_cursor=shown[-1][0] if len(found) > query.limit else None,
        )

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

    def task_definitions(self) -> list[TaskDefinition]:
        """Every known definition, by name."""
        return [rows.task_definition(row) for row in self._connections.run("task_definitions")]


def _finds_nothing(query: ExecutionQuery) -> bool:
    """Whether a filter holds what no row can: an id that is none, text with NUL or surrogates."""
    if query.parent_id is not None and not literals.is_uuid(query.parent_id):
        return True
    words = (query.task, query.queue, query.tag, query.user_id, query.unique_key, query.text)
    return any(text_refusal(word) is not None for word in words)


def _filters(query: ExecutionQuery) -> dict[str, Any]:
    after, before = query.created_after, query.created_before
    return {
        "statuses": literals.texts(sorted(query.status)) if query.status else None,
        "task": query.task,
        "queue": query.queue,
        "tag": query.tag,
        "user_id": query.user_id,
        "parent_id": query.parent_id,
        "unique_key": query.unique_key,
        "text": None if query.text is None else f"%{_without_wildcards(query.text)}%",
        "created_after": None if after is None else after.isoformat(),
        "created_before": None if before is None else before.isoformat(),
    }


def _without_wildcards(text: str) -> str:
    for special in ("\\", "%", "_"):
        text = text.replace(special, "\\" + special)
    return text
