"""`Pace`: how much a worker may take ahead, by how fast its slots lately ended what they had.

What is ahead is some 50 ms of work: enough that slots find the next attempt while a pop and a claim
are under way, and so little that others' short tasks do not wait behind it.
"""

from __future__ import annotations

from collections import deque

AHEAD_S = 0.05
STEADY_S = 0.5
MAX_AHEAD = 500


class Pace:
    """The attempts that one worker's slots have ended, over the last moments."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque(maxlen=256)

    def ahead(self, ended: int, *, now: float) -> int:
        """How many to have ahead when so many have ended by ``now`` (monotonic).

        As many as the slots ended in the last `AHEAD_S`, at most `MAX_AHEAD`; or as they ended in
        `STEADY_S` on average, where that is more: slots that were filled together end together, and
        nothing in between.
        """
        marks = self._marks
        marks.append((now, ended))
        while len(marks) > 1 and marks[1][0] <= now - STEADY_S:
            marks.popleft()
        latest = next((mark for mark in reversed(marks) if mark[0] <= now - AHEAD_S), marks[0])
        rates = [
            (ended - count) / max(now - then, span_s)
            for (then, count), span_s in ((latest, AHEAD_S), (marks[0], STEADY_S))
        ]
        return min(MAX_AHEAD, round(AHEAD_S * max(rates)))
