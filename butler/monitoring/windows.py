"""Which rows of statistics together are a stretch of time (pure).

The ledger keeps sums a minute, hour and day. A window is read from the largest that fit in it:
minutes up to the first whole hour, hours up to the first whole day, days, and down again to its
end. Nothing ends in the future, so a window that ends now may be read to the end of today.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

from butler.durations import seconds
from butler.errors import InvalidOption
from butler.option_texts import check_aware
from butler.storage.stats import STATISTICS_KEPT, Span, Step

MAX_POINTS = 2_000
_STEPS = (Step.MINUTE, Step.HOUR, Step.DAY)
_A_DAY = timedelta(days=1)


class Window:
    """``since`` (inclusive) up to ``until`` (exclusive), widened to whole minutes.

    ``since`` is a time or how long ago; ``until`` None is now. Raises `InvalidOption`.
    """

    def __init__(
        self, since: datetime | timedelta, until: datetime | None, *, now: datetime
    ) -> None:
        given = until if until is None else check_aware("until", until)
        self.open = given is None or given >= now
        self.until = now if given is None or self.open else _ceiling(given, Step.MINUTE)
        begin = _begin(since, now=now)
        begin = max(begin, now - STATISTICS_KEPT)
        self.since = Step.MINUTE.begin(begin)
        if self.since >= self.until:
            raise InvalidOption(f"since must be before until, got {self.since} and {self.until}")

    def spans(self) -> tuple[Span, ...]:
        """The rows that are this window; they do not overlap."""
        end = Step.DAY.begin(self.until) + _A_DAY * 2 if self.open else self.until
        found: list[Span] = []
        at = self.since
        for finer, coarser in pairwise(_STEPS):
            stop = min(_ceiling(at, coarser), finer.begin(end))
            at = _append(found, finer, at, stop)
        for step in reversed(_STEPS):
            at = _append(found, step, at, max(at, step.begin(end)))
        return tuple(found)

    def steps(self, step: Step) -> list[datetime]:
        """Where each step of it begins; raises `InvalidOption` for too many."""
        begin = step.begin(self.since)
        number = -((begin - self.until) // step.length)
        if number > MAX_POINTS:
            raise InvalidOption(
                f"a series has at most {MAX_POINTS} points, {number} {step} steps were asked for; "
                "take a longer step or a later since"
            )
        return [begin + n * step.length for n in range(number)]

    def span_of(self, step: Step) -> Span:
        """The whole window from rows of one step."""
        begins = self.steps(step)
        return Span(step=step, since=begins[0], until=begins[-1] + step.length)


def _append(found: list[Span], step: Step, since: datetime, until: datetime) -> datetime:
    if until > since:
        found.append(Span(step=step, since=since, until=until))
    return max(since, until)


def _ceiling(at: datetime, step: Step) -> datetime:
    begin = step.begin(at)
    return begin if begin == at else begin + step.length


def _begin(since: datetime | timedelta, *, now: datetime) -> datetime:
    if isinstance(since, timedelta):
        return now - timedelta(seconds=seconds("since", since, exclusive=True))
    return check_aware("since", since)
