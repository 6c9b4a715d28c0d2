"""Noticing blocking calls on an event loop's thread."""

from __future__ import annotations

import sys
import warnings
from asyncio import _get_running_loop

from butler.errors import BlockingCallWarning

_warned: set[str] = set()


def warn_if_loop_blocked(call: str, *, awaited: str) -> None:
    """Warn, once a process for each ``call``, where it stops a running event loop.

    To be called first by each public method that blocks; costs a tenth of a microsecond where no
    loop runs. Where one such method calls another only the first warns.
    """
    if _get_running_loop() is None or call in _warned:
        return
    caller = sys._getframe(2).f_globals.get("__name__", "")  # noqa: SLF001
    if caller.partition(".")[0] == "butler":
        return
    warnings.warn(
        f"{call} stops this thread's event loop until servers have answered: write {awaited}",
        BlockingCallWarning,
        stacklevel=3,
    )
    # Only now: a warning that is made an error is raised each time.
    _warned.add(call)
