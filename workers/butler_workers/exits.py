"""How processes of a worker end: their exit codes, and what a code says."""

from __future__ import annotations

import signal

EXIT_CONFIG = 3
EXIT_OUTAGE = 74
EXIT_LOST = 75


def describe_exit(code: int) -> str:
    """``killed by signal 11 (SIGSEGV)`` or ``exited with code 1``."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"killed by signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"killed by signal {-code}"


def is_orderly(code: int) -> bool:
    """Whether a child that ended so said what became of its attempts."""
    return code in (0, EXIT_LOST, EXIT_OUTAGE, EXIT_CONFIG)
