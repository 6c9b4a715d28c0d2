"""``butler.aio.stats``: `Statistics` for coroutines, with the same names, awaited."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from butler.monitoring.stats import LAST_DAY, LAST_HOUR

if TYPE_CHECKING:
    from datetime import datetime

    from butler.app import Butler
    from butler.monitoring.stats import (
        ErrorOrder,
        Since,
        StatsRow,
        StatsSummary,
        TopBy,
        TopOrder,
    )
    from butler.storage.stats import ErrorGroup


class AsyncStatistics:
    """Each method does what that of `Statistics` does."""

    def __init__(self, butler: Butler) -> None:
        self._butler = butler

    async def summary(
        self,
        *,
        since: Since = LAST_HOUR,
        until: datetime | None = None,
        task: str | None = None,
        queue: str | None = None,
    ) -> StatsSummary:
        """As `Statistics.summary`."""
        summary = self._butler.stats.summary
        call = partial(summary, since=since, until=until, task=task, queue=queue)
        return await self._butler.in_thread(call)

    async def timeseries(
        self,
        *,
        step: Literal["minute", "hour", "day"] = "minute",
        since: Since = LAST_HOUR,
        until: datetime | None = None,
        task: str | None = None,
        queue: str | None = None,
    ) -> list[StatsSummary]:
        """As `Statistics.timeseries`."""
        series = self._butler.stats.timeseries
        call = partial(series, step=step, since=since, until=until, task=task, queue=queue)
        return await self._butler.in_thread(call)

    async def top(
        self,
        *,
        by: TopBy = "task",
        order: TopOrder = "run_time",
        since: Since = LAST_HOUR,
        until: datetime | None = None,
        queue: str | None = None,
        limit: int = 10,
    ) -> list[StatsRow]:
        """As `Statistics.top`."""
        top = self._butler.stats.top
        call = partial(top, by=by, order=order, since=since, until=until, queue=queue, limit=limit)
        return await self._butler.in_thread(call)

    async def errors(
        self,
        *,
        since: Since = LAST_DAY,
        until: datetime | None = None,
        task: str | None = None,
        order: ErrorOrder = "number",
        limit: int = 20,
    ) -> list[ErrorGroup]:
        """As `Statistics.errors`."""
        errors = self._butler.stats.errors
        call = partial(errors, since=since, until=until, task=task, order=order, limit=limit)
        return await self._butler.in_thread(call)
