"""How processes of ours that are busy for long set up the interpreter they run in."""

from __future__ import annotations

import gc
import sys

# With many threads wanting the interpreter, one that returns from I/O waits this long for it.
SWITCH_INTERVAL_S = 0.001
# Python's own (700, 10, 10) look for cycles each fifty executions, and among all modules each few
# thousand: a tenth of a busy process's time. An application that sets others is imported later.
COLLECT_AFTER = (10_000, 20, 20)


def set_up() -> None:
    """To be called before the application is imported, which may set something else."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*COLLECT_AFTER)


def keep_what_is_there() -> None:
    """What was imported and made by now stays: no collection needs to look at it again."""
    gc.collect()
    gc.freeze()
