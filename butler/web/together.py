"""`Together`: what many requests want at once is done in one call, and each told what became of it.

No timer: what comes while a call is under way is in the next one. So a lone request waits for
nothing, and sixteen at once cost one commit.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from butler.app import Butler

T = TypeVar("T")
R = TypeVar("R")


class Together(Generic[T, R]):
    """Calls ``step``, which may block, with at most ``at_once`` items; one reply each, in order."""

    def __init__(
        self,
        butler: Butler,
        step: Callable[[Sequence[T]], Sequence[R | Exception]],
        *,
        at_once: int,
    ) -> None:
        self._butler = butler
        self._step = step
        self._at_once = at_once
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._calling: asyncio.Task[None] | None = None

    async def do(self, item: T) -> R:
        """The reply to this one; raises the error that is its reply, or that the call raised."""
        replied: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, replied))
        if self._calling is None or self._calling.done():
            self._calling = asyncio.create_task(self._call())
        return await replied

    async def _call(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[: self._at_once], self._waiting[self._at_once :]
            items = [item for item, _ in batch]
            try:
                replies = await self._butler.in_thread(partial(self._step, items))
            except Exception as error:  # noqa: BLE001 - told to each who waits
                replies = [error] * len(batch)
            for (_, replied), reply in zip(batch, replies, strict=True):
                _settle(replied, reply)


def _settle(replied: asyncio.Future[R], reply: R | Exception) -> None:
    if replied.done():  # whoever waited has gone
        return
    if isinstance(reply, Exception):
        replied.set_exception(reply)
    else:
        replied.set_result(reply)
