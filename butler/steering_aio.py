"""Limits and queues for coroutines: ``butler.aio.limits`` and ``butler.aio.queues``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from butler.app import Butler
    from butler.steering import Prospects
    from butler.storage.limits import LimitRow

    # Inside the class ``list`` is a method.
    Rows: TypeAlias = list[LimitRow]


class AsyncLimits:
    """`Limits`, awaited."""

    def __init__(self, butler: Butler) -> None:
        self._butler = butler

    async def list(self) -> Rows:
        """As `Limits.list`."""
        return await self._butler.in_thread(self._butler.limits.list)

    async def set(
        self,
        name: str,
        *,
        max_concurrency: int | None = None,
        rate: str | None = None,
        rate_burst: int | None = None,
    ) -> None:
        """As `Limits.set`."""
        call = partial(
            self._butler.limits.set,
            name,
            max_concurrency=max_concurrency,
            rate=rate,
            rate_burst=rate_burst,
        )
        await self._butler.in_thread(call)

    async def reset(self, name: str) -> None:
        """As `Limits.reset`."""
        await self._butler.in_thread(partial(self._butler.limits.reset, name))

    async def waiting(self, names: Iterable[str]) -> dict[str, int]:
        """As `Limits.waiting`."""
        return await self._butler.in_thread(partial(self._butler.limits.waiting, names))

    async def waits_for(self, execution_id: str) -> Prospects:
        """As `Limits.waits_for`."""
        return await self._butler.in_thread(partial(self._butler.limits.waits_for, execution_id))

    async def waits_of(self, execution_ids: Iterable[str]) -> dict[str, Prospects]:
        """As `Limits.waits_of`."""
        return await self._butler.in_thread(partial(self._butler.limits.waits_of, execution_ids))


class AsyncQueues:
    """`Queues`, awaited."""

    def __init__(self, butler: Butler) -> None:
        self._butler = butler

    async def paused(self) -> list[str]:
        """As `Queues.paused`."""
        return await self._butler.in_thread(self._butler.queues.paused)

    async def pause(self, queue: str) -> None:
        """As `Queues.pause`."""
        await self._butler.in_thread(partial(self._butler.queues.pause, queue))

    async def resume(self, queue: str) -> None:
        """As `Queues.resume`."""
        await self._butler.in_thread(partial(self._butler.queues.resume, queue))

    async def limit(
        self,
        queue: str,
        *,
        max_concurrency: int | None = None,
        rate: str | None = None,
        rate_burst: int | None = None,
    ) -> None:
        """As `Queues.limit`."""
        call = partial(
            self._butler.queues.limit,
            queue,
            max_concurrency=max_concurrency,
            rate=rate,
            rate_burst=rate_burst,
        )
        await self._butler.in_thread(call)
