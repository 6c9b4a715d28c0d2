"""`AsyncRecurringJobs`: `RecurringJobs` for coroutines; ``butler.aio.recurring``.

A view on the same object, as `AsyncButler` is: each call runs in one of the few threads that the
Butler keeps for coroutines.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, Unpack

from butler.recurring.service import UNSET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from butler.aio import AsyncHandle
    from butler.app import Butler
    from butler.recurring.bulk import BulkAction, BulkReport, JobFilters
    from butler.recurring.declaring import SyncReport
    from butler.recurring.job import (
        FireOutcome,
        RecurringFire,
        RecurringJob,
        RecurringPage,
        RecurringStatistics,
    )
    from butler.recurring.options import RecurringOptions
    from butler.schedules import PreviewedFire, Schedule

    # Inside the class ``list`` is a method.
    Fires: TypeAlias = list[RecurringFire]
    Previews: TypeAlias = list[PreviewedFire]

T = TypeVar("T")


class AsyncRecurringJobs:
    """The same names as `RecurringJobs`, awaited; jobs are declared with that one."""

    def __init__(self, butler: Butler) -> None:
        self._butler = butler
        self._jobs = butler.recurring

    async def create(
        self,
        name: str,
        task: Any,
        schedule: Schedule | Mapping[str, Any],
        *,
        request: Any = None,
        **options: Unpack[RecurringOptions],
    ) -> RecurringJob:
        """As `RecurringJobs.create`."""
        call = partial(self._jobs.create, name, task, schedule, request=request, **options)
        return await self._call(call)

    async def find(self, job: str) -> RecurringJob | None:
        """As `RecurringJobs.find`."""
        return await self._call(self._jobs.find, job)

    async def get(self, job: str) -> RecurringJob:
        """As `RecurringJobs.get`."""
        return await self._call(self._jobs.get, job)

    async def list(
        self, *, cursor: str | None = None, limit: int = 100, **filters: Unpack[JobFilters]
    ) -> RecurringPage:
        """As `RecurringJobs.list`."""
        return await self._call(partial(self._jobs.list, cursor=cursor, limit=limit, **filters))

    async def update(
        self,
        job: str,
        *,
        version: int | None = None,
        task: Any = None,
        schedule: Schedule | Mapping[str, Any] | None = None,
        request: Any = UNSET,
        **options: Unpack[RecurringOptions],
    ) -> RecurringJob:
        """As `RecurringJobs.update`."""
        change = partial(self._jobs.update, job, version=version, task=task, schedule=schedule)
        return await self._call(partial(change, request=request, **options))

    async def delete(self, job: str) -> None:
        """As `RecurringJobs.delete`."""
        await self._call(self._jobs.delete, job)

    async def pause(self, job: str) -> RecurringJob:
        """As `RecurringJobs.pause`."""
        return await self._call(self._jobs.pause, job)

    async def resume(self, job: str) -> RecurringJob:
        """As `RecurringJobs.resume`."""
        return await self._call(self._jobs.resume, job)

    async def trigger(self, job: str, request: Any = UNSET) -> AsyncHandle[Any]:
        """As `RecurringJobs.trigger`."""
        from butler.aio import AsyncHandle

        return AsyncHandle(await self._call(self._jobs.trigger, job, request))

    async def history(
        self,
        job: str,
        *,
        outcome: str | Iterable[FireOutcome | str] = (),
        before: datetime | None = None,
        limit: int = 100,
    ) -> Fires:
        """As `RecurringJobs.history`."""
        call = partial(self._jobs.history, job, outcome=outcome, before=before, limit=limit)
        return await self._call(call)

    async def statistics(self, job: str) -> RecurringStatistics:
        """As `RecurringJobs.statistics`."""
        return await self._call(self._jobs.statistics, job)

    async def preview(
        self, job: str | Schedule | Mapping[str, Any], *, count: int = 10
    ) -> Previews:
        """As `RecurringJobs.preview`."""
        return await self._call(partial(self._jobs.preview, job, count=count))

    async def bulk(
        self,
        action: BulkAction,
        *,
        jobs: Iterable[str] | None = None,
        dry_run: bool = False,
        **filters: Unpack[JobFilters],
    ) -> BulkReport:
        """As `RecurringJobs.bulk`."""
        call = partial(self._jobs.bulk, action, jobs=jobs, dry_run=dry_run, **filters)
        return await self._call(call)

    async def sync(self, *, source: str | None = None, dry_run: bool = False) -> SyncReport:
        """As `RecurringJobs.sync`."""
        return await self._call(partial(self._jobs.sync, source=source, dry_run=dry_run))

    async def _call(self, method: Callable[..., T], *args: Any) -> T:
        return await self._butler.in_thread(partial(method, *args))
