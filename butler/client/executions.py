"""Executions: look at them, steer them (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from butler.client.asks import Ask, as_model, as_nothing, given, picked
from butler.client.operations import makes, operation, pages
from butler.client.paging import Part, by_cursor
from butler.client.records import line_of, read_execution, read_page
from butler.client.resource import D, Resource
from butler.web.models.executions import (
    BulkStep,
    Cancelled,
    Enqueued,
    ExecutionEvents,
    LogPage,
    ShownTree,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from butler.client.options import Filters
    from butler.client.steps import Answer
    from butler.executions import Execution
    from butler.storage.logs import LogLine
    from butler.storage.records import Page
    from butler.web.models.executions import ExecutionEventShown

PAGE_SIZE = 200
MAX_BULK = 10_000


class Executions(Resource[D]):
    """What a client can do with executions, by their ids."""

    @operation("GET /executions/{execution_id}")
    def get(self, execution_id: str) -> Ask[Execution]:
        """All that is known of an execution; raises `ExecutionNotFound`."""
        return Ask(read=read_execution, place={"execution_id": execution_id})

    @pages("GET /executions")
    def list(
        self,
        *,
        request: Mapping[str, object] | None = None,
        page_size: int = PAGE_SIZE,
        **filters: Unpack[Filters],
    ) -> Ask[Part[Execution]]:
        """Iterate over executions, newest first; every filter must hold.

        ``request`` holds fields of the request that must have these values, as
        ``{"order.number": 7}``; it needs a task or a time range. Executions are here without
        results, attempts and tracebacks. ``page_size`` (1..500) is how many one answer holds.
        """
        query = _query(filters, request) | {"limit": page_size}
        return Ask(read=_part, query=query)

    @operation("GET /executions")
    def page(
        self,
        *,
        request: Mapping[str, object] | None = None,
        cursor: str | None = None,
        limit: int = 50,
        **filters: Unpack[Filters],
    ) -> Ask[Page]:
        """One page of `list`; ``cursor`` is the ``next_cursor`` of the page before."""
        query = _query(filters, request) | {"limit": limit, "cursor": cursor}
        return Ask(read=read_page, query=query)

    @operation("GET /executions/{execution_id}/events")
    def history(self, execution_id: str) -> Ask[Sequence[ExecutionEventShown]]:
        """The progress that it has reported, oldest first."""
        read = picked(ExecutionEvents, lambda found: found.events)
        return Ask(read=read, place={"execution_id": execution_id})

    @pages("GET /executions/{execution_id}/logs")
    def logs(self, execution_id: str, *, after: int | None = None) -> Ask[Part[LogLine]]:
        """Iterate over what it has logged, oldest first; ``after`` is the ``id`` of a line."""
        return log_lines(execution_id, after=after)

    @pages("GET /executions/{execution_id}/children")
    def children(self, execution_id: str, *, page_size: int = PAGE_SIZE) -> Ask[Part[Execution]]:
        """Iterate over what it has enqueued, newest first."""
        return Ask(read=_part, place={"execution_id": execution_id}, query={"limit": page_size})

    @operation("GET /executions/{execution_id}/tree")
    def tree(self, execution_id: str, *, depth: int = 10, size: int = 200) -> Ask[ShownTree]:
        """It, what it has enqueued, what those have enqueued, and so on."""
        return Ask(
            read=as_model(ShownTree),
            place={"execution_id": execution_id},
            query={"depth": depth, "size": size},
        )

    @operation("POST /executions/{execution_id}/cancel")
    def cancel(self, execution_id: str) -> Ask[bool]:
        """End it if it waits, ask it to end if it runs; False when it was over."""
        return Ask(read=read_cancelled, place={"execution_id": execution_id})

    @operation("POST /executions/{execution_id}/retry")
    def retry(self, execution_id: str) -> Ask[Execution]:
        """Open a failed or cancelled execution again; raises `IllegalTransition` for another."""
        return Ask(read=read_execution, place={"execution_id": execution_id})

    @makes("POST /executions/{execution_id}/rerun")
    def rerun(self, execution_id: str) -> Ask[Enqueued]:
        """Enqueue the same request once more, as a new execution."""
        return Ask(read=as_model(Enqueued), place={"execution_id": execution_id})

    @operation("DELETE /executions/{execution_id}")
    def delete(self, execution_id: str) -> Ask[None]:
        """Remove a finished execution with its history; raises `IllegalTransition` otherwise."""
        return Ask(read=as_nothing, place={"execution_id": execution_id})

    @operation("POST /executions/cancel")
    def cancel_many(self, execution_ids: Iterable[str], *, dry_run: bool = False) -> Ask[BulkStep]:
        """Cancel up to 1,000; with ``dry_run`` only count."""
        return _step(ids=execution_ids, dry_run=dry_run)

    @operation("POST /executions/retry")
    def retry_many(self, execution_ids: Iterable[str], *, dry_run: bool = False) -> Ask[BulkStep]:
        """Retry up to 1,000; with ``dry_run`` only count."""
        return _step(ids=execution_ids, dry_run=dry_run)

    @operation("POST /executions/delete")
    def delete_many(self, execution_ids: Iterable[str], *, dry_run: bool = False) -> Ask[BulkStep]:
        """Delete up to 1,000; with ``dry_run`` only count."""
        return _step(ids=execution_ids, dry_run=dry_run)

    @operation("POST /executions/cancel")
    def cancel_matching(
        self,
        *,
        dry_run: bool = False,
        limit: int = MAX_BULK,
        cursor: str | None = None,
        **filters: Unpack[Filters],
    ) -> Ask[BulkStep]:
        """Cancel all that the filters let through, up to ``limit``; with ``dry_run`` only count.

        Where there are more, the report's ``next_cursor`` goes on. No filter at all is refused.
        """
        return _step(filters, dry_run=dry_run, limit=limit, cursor=cursor)

    @operation("POST /executions/retry")
    def retry_matching(
        self,
        *,
        dry_run: bool = False,
        limit: int = MAX_BULK,
        cursor: str | None = None,
        **filters: Unpack[Filters],
    ) -> Ask[BulkStep]:
        """Retry all that the filters let through; otherwise as `cancel_matching`."""
        return _step(filters, dry_run=dry_run, limit=limit, cursor=cursor)

    @operation("POST /executions/delete")
    def delete_matching(
        self,
        *,
        dry_run: bool = False,
        limit: int = MAX_BULK,
        cursor: str | None = None,
        **filters: Unpack[Filters],
    ) -> Ask[BulkStep]:
        """Delete all that the filters let through; otherwise as `cancel_matching`."""
        return _step(filters, dry_run=dry_run, limit=limit, cursor=cursor)


def log_lines(execution_id: str, *, after: int | None) -> Ask[Part[LogLine]]:
    """The ask for what an execution has logged."""

    def read(answer: Answer) -> Part[LogLine]:
        page = as_model(LogPage)(answer)
        lines = [line_of(line, execution_id) for line in page.lines]
        return Part(lines, None if page.next_after is None else {"after": page.next_after})

    return Ask(read=read, place={"execution_id": execution_id}, query={"after": after})


def read_cancelled(answer: Answer) -> bool:
    """Whether a cancel has changed anything."""
    return as_model(Cancelled)(answer).cancelled


def _part(answer: Answer) -> Part[Execution]:
    page = read_page(answer)
    return by_cursor(page.executions, page.next_cursor)


def _query(filters: Any, request: Mapping[str, object] | None) -> dict[str, object]:
    fields = {f"request.{name}": value for name, value in (request or {}).items()}
    return {**filters, **fields}


def _step(
    filters: Any = None, *, ids: Iterable[str] | None = None, dry_run: bool, **more: object
) -> Ask[BulkStep]:
    body: dict[str, object] = {"dry_run": dry_run, **given(more)}
    if ids is not None:
        body["ids"] = [*ids]
    if filters is not None:
        status = filters.get("status")
        body["filter"] = given(filters) | ({"status": [status]} if isinstance(status, str) else {})
    return Ask(read=as_model(BulkStep), body=body)
