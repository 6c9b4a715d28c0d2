"""`run_pending`: runs what is due, here and now, instead of a worker and a scheduler."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from butler.errors import ButlerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from butler.app import Butler
    from butler.executions import Execution

MAX_ATTEMPTS = 1_000


def run_pending(
    butler: Butler, *, fast_forward: bool = False, max_attempts: int = MAX_ATTEMPTS
) -> list[Execution]:
    """Run everything that is due in the calling thread, what it enqueues too, until nothing is.

    Returns the executions that ran, as they are left. With ``fast_forward`` the clock of a Butler
    in memory is moved to whatever is due next, so that retries and delays run as well. Raises
    `ButlerError` after ``max_attempts`` attempts, and inside an event loop (`arun_pending`).
    """
    if _in_loop():
        raise ButlerError(
            "run_pending was called inside an event loop, which it would block: "
            "write await arun_pending(butler)"
        )
    found: list[Execution] = _worker(butler, fast_forward, max_attempts).run()
    return found


async def arun_pending(
    butler: Butler, *, fast_forward: bool = False, max_attempts: int = MAX_ATTEMPTS
) -> list[Execution]:
    """`run_pending` for a test that is a coroutine: ``async def`` tasks run on its loop."""
    found: list[Execution] = await _worker(butler, fast_forward, max_attempts).arun()
    return found


def _worker(butler: Butler, fast_forward: bool, max_attempts: int) -> Any:  # noqa: FBT001
    from butler_workers.inline import InlineWorker

    butler.import_tasks()
    skip = _skip_of(butler) if fast_forward else None
    return InlineWorker(butler, max_attempts=max_attempts, skip=skip)


def _skip_of(butler: Butler) -> Callable[[float], None]:
    clock: Any = butler._clock  # noqa: SLF001 - nobody else moves it
    if not hasattr(clock, "advance"):
        raise ButlerError(
            "fast_forward needs a Butler in memory (Butler.in_memory(), or in_memory(butler)): "
            "the clock of a real ledger cannot be moved"
        )
    skip: Callable[[float], None] = clock.advance
    return skip


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
