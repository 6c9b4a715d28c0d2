"""`Web`: what the handlers of one application share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar

from fastapi import Depends, Request

from butler.web.audit import AuditTrail
from butler.web.callers import Caller
from butler.web.gate import Gate
from butler.web.live.changes import Changes
from butler.web.live.feed import Feed
from butler.web.live.open_streams import OpenStreams
from butler.web.masks import Masks
from butler.web.request_metrics import RequestMetrics
from butler.web.shared import Shared
from butler.web.together import Together

if TYPE_CHECKING:
    from collections.abc import Callable

    from butler.app import Butler
    from butler.monitoring.health.verdict import HealthReport
    from butler.storage.monitoring_records import LedgerPicture
    from butler.web.callers import Authenticate
    from butler.web.options import WebOptions

T = TypeVar("T")

ENQUEUES_AT_ONCE = 100


class Web:
    """One Butler, and what stands between it and its callers."""

    def __init__(
        self, butler: Butler, *, options: WebOptions, authenticate: Authenticate | None
    ) -> None:
        self.butler = butler
        self.options = options
        self.gate = Gate(butler, options=options, authenticate=authenticate)
        self.audit = AuditTrail(butler)
        self.enqueues = Together(butler, butler.place_each, at_once=ENQUEUES_AT_ONCE)
        self.masks = Masks(butler, names=options.secret_names)
        self.picture = Shared(butler, self._look)
        self.health = Shared(butler, self._report)
        self.streams = OpenStreams()
        self.feed = Feed(butler, self.masks)
        self.changes = Changes(butler, self.feed)
        self.metrics = RequestMetrics()

    async def call(self, step: Callable[[], T]) -> T:
        """Make a blocking call in one of the Butler's few threads."""
        return await self.butler.in_thread(step)

    def _look(self) -> LedgerPicture:
        return self.butler.storage.picture()

    def _report(self) -> HealthReport:
        return self.butler.health.report()


def web_of(request: Request) -> Web:
    """The services of the application that answers."""
    found: Web = request.app.state.web
    return found


# Coroutines, although they wait for nothing: FastAPI calls a plain function in a thread.
async def _web(request: Request) -> Web:
    return web_of(request)


async def _caller(request: Request) -> Caller:
    """Whoever was let in at the route's door."""
    found: Caller = request.state.caller
    return found


WebDep = Annotated[Web, Depends(_web)]
CallerDep = Annotated[Caller, Depends(_caller)]
