"""Queues, and limits of every kind (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from butler.client.asks import Ask, as_model, as_nothing, picked
from butler.client.operations import operation, pages
from butler.client.paging import Part, by_cursor
from butler.client.resource import D, Resource
from butler.web.models.queues import LimitPage, QueueList, ShownLimit, ShownQueue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from butler.client.steps import Answer

PAGE_SIZE = 200


class Queues(Resource[D]):
    """How queues stand; pausing and limiting them as a whole."""

    @operation("GET /queues")
    def list(self) -> Ask[Sequence[ShownQueue]]:
        """All queues, by name, and how each stands; numbers may be a second old."""
        return Ask(read=picked(QueueList, lambda found: found.queues))

    @operation("GET /queues/{queue}")
    def get(self, queue: str) -> Ask[ShownQueue]:
        """How one queue stands; raises `ApiNotFound`."""
        return _of(queue)

    @operation("POST /queues/{queue}/pause")
    def pause(self, queue: str) -> Ask[ShownQueue]:
        """Start nothing of it from now on; what runs goes on, what comes waits."""
        return _of(queue)

    @operation("POST /queues/{queue}/resume")
    def resume(self, queue: str) -> Ask[ShownQueue]:
        """Let it go on."""
        return _of(queue)

    @operation("PUT /queues/{queue}/limit")
    def limit(
        self,
        queue: str,
        *,
        max_concurrency: int | None = None,
        rate: str | None = None,
        rate_burst: int | None = None,
    ) -> Ask[ShownQueue]:
        """Allow this for all of its executions together: ``rate`` is like ``100/minute``."""
        rule = {"max_concurrency": max_concurrency, "rate": rate, "rate_burst": rate_burst}
        return Ask(read=as_model(ShownQueue), place={"queue": queue}, body=rule)

    @operation("DELETE /queues/{queue}/limit")
    def unlimit(self, queue: str) -> Ask[ShownQueue]:
        """Take back what was said of the queue as a whole."""
        return _of(queue)


class Limits(Resource[D]):
    """How many may run under a name, and how often one may start; for tokens without a scope."""

    @pages("GET /limits")
    def list(
        self, *, kind: Literal["task", "key", "queue"] | None = None, page_size: int = PAGE_SIZE
    ) -> Ask[Part[ShownLimit]]:
        """Iterate over every name with a rule, a pause, or something that runs under it."""

        def read(answer: Answer) -> Part[ShownLimit]:
            page = as_model(LimitPage)(answer)
            return by_cursor(page.limits, page.next_cursor)

        return Ask(read=read, query={"kind": kind, "limit": page_size})

    @operation("GET /limits/{name}")
    def get(self, name: str) -> Ask[ShownLimit]:
        """What holds under one name: a task's, a key's, or ``queue:`` and a queue's."""
        return Ask(read=as_model(ShownLimit), place={"name": name})

    @operation("PUT /limits/{name}")
    def set(
        self,
        name: str,
        *,
        max_concurrency: int | None = None,
        rate: str | None = None,
        rate_burst: int | None = None,
    ) -> Ask[ShownLimit]:
        """Allow this from now on, whatever code says; what waits and may go now is woken."""
        rule = {"max_concurrency": max_concurrency, "rate": rate, "rate_burst": rate_burst}
        return Ask(read=as_model(ShownLimit), place={"name": name}, body=rule)

    @operation("DELETE /limits/{name}")
    def reset(self, name: str) -> Ask[None]:
        """Take back what an operator said: code's word holds again."""
        return Ask(read=as_nothing, place={"name": name})


def _of(queue: str) -> Ask[ShownQueue]:
    return Ask(read=as_model(ShownQueue), place={"queue": queue})
