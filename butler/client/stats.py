"""What ended lately, how, and how long it took; what fails (pure)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from butler.client.asks import Ask, as_model, picked
from butler.client.operations import operation
from butler.client.resource import D, Resource
from butler.web.models.stats import ErrorList, Series, ShownSummary, Top

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from butler.monitoring.stats import ErrorOrder, TopBy, TopOrder
    from butler.web.models.stats import ShownErrorGroup, TopRow


class Stats(Resource[D]):
    """Statistics of the ledger, as `butler.stats`.

    A window begins at ``since``: a time, or so long ago. Without it, it is the last hour, and for
    errors the last day. It ends at ``until``, or now.
    """

    @operation("GET /stats/summary")
    def summary(
        self,
        *,
        since: datetime | timedelta | None = None,
        until: datetime | None = None,
        task: str | None = None,
        queue: str | None = None,
    ) -> Ask[ShownSummary]:
        """What ended, of one task or queue or of all; exact at once."""
        query = _window(since, until) | {"task": task, "queue": queue}
        return Ask(read=as_model(ShownSummary), query=query)

    @operation("GET /stats/timeseries")
    def timeseries(
        self,
        *,
        since: datetime | timedelta | None = None,
        until: datetime | None = None,
        step: Literal["minute", "hour", "day"] = "minute",
        task: str | None = None,
        queue: str | None = None,
    ) -> Ask[Sequence[ShownSummary]]:
        """A summary for each minute, hour or day; at most 2,000."""
        query = _window(since, until) | {"step": step, "task": task, "queue": queue}
        return Ask(read=picked(Series, lambda found: found.points), query=query)

    @operation("GET /stats/top")
    def top(
        self,
        *,
        since: datetime | timedelta | None = None,
        until: datetime | None = None,
        by: TopBy = "task",
        order: TopOrder = "run_time",
        limit: int = 10,
        queue: str | None = None,
    ) -> Ask[Sequence[TopRow]]:
        """The tasks or queues with the most run time, ends, failures, retries or waits."""
        query = {"by": by, "order": order, "limit": limit, "queue": queue}
        return Ask(read=picked(Top, lambda found: found.rows), query=query | _window(since, until))

    @operation("GET /stats/errors")
    def errors(
        self,
        *,
        since: datetime | timedelta | None = None,
        until: datetime | None = None,
        task: str | None = None,
        order: ErrorOrder = "number",
        limit: int = 20,
    ) -> Ask[Sequence[ShownErrorGroup]]:
        """What attempts failed with, by type and place."""
        query = _window(since, until) | {"task": task, "order": order, "limit": limit}
        return Ask(read=picked(ErrorList, lambda found: found.errors), query=query)


def _window(since: datetime | timedelta | None, until: datetime | None) -> dict[str, object]:
    name = "last_s" if isinstance(since, timedelta) else "since"
    return {name: since, "until": until}
