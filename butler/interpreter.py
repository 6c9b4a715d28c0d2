"""How processes of ours set up the interpreter they run in."""

from __future__ import annotations

import atexit
import gc
import sys

# With many threads wanting the interpreter, one that returns from I/O waits this long for it.
SWITCH_INTERVAL_S = 0.001
# Python's own (700, 10, 10) look for cycles each fifty executions, and among all modules each few
# thousand: a tenth of a busy process's time. An application that sets others is imported later.
COLLECT_AFTER = (10_000, 20, 20)


def collect_seldom() -> None:
    """To be called by a command before anything else is imported; at its end is no collection.

    What it imports lives as long as it does. Python's own thresholds search that again and again
    while it is made, and once more at the end: a sixth of a short command's processor time.
    """
    gc.set_threshold(*COLLECT_AFTER)
    # First in, last out. Cycles that are left then are not finalised; their memory goes anyway.
    atexit.register(gc.freeze)


def set_up() -> None:
    """What is busy for long needs more than a command does.

    To be called before the application is imported, which may set something else.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*COLLECT_AFTER)


def keep_what_is_there() -> None:
    """What was imported and made by now stays: no collection needs to look at it again."""
    gc.collect()
    gc.freeze()
