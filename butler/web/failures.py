"""`FailureLimit`: callers who try tokens are made to wait (per address, in this process)."""

from __future__ import annotations

import time
from collections import OrderedDict

FAILURES = 10
WINDOW_S = 60.0
ADDRESSES_KEPT = 10_000


class FailureLimit:
    """Counts failures by address; more than `FAILURES` in `WINDOW_S` are too many.

    Tokens cannot be guessed; this keeps those who try from making the ledger look each one up.
    """

    def __init__(self) -> None:
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """How long this address has to wait; 0 when it need not."""
        began, failures = self._windows.get(address, (0.0, 0))
        left_s = began + WINDOW_S - time.monotonic()
        return left_s if failures >= FAILURES and left_s > 0 else 0.0

    def note(self, address: str) -> None:
        """This address has failed once more."""
        now = time.monotonic()
        began, failures = self._windows.pop(address, (now, 0))
        if began + WINDOW_S <= now:
            began, failures = now, 0
        self._windows[address] = began, failures + 1
        if len(self._windows) > ADDRESSES_KEPT:
            self._windows.popitem(last=False)
