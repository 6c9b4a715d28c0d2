"""A histogram of durations whose quantiles are right to one per cent, however many are merged.

A DDSketch with a logarithmic mapping: a duration of d microseconds falls in bucket
``ceil(ln d / ln g)``, so that bucket i holds (g^(i-1), g^i] µs, and it is answered for by one value
that is within 1 % of every member. With g = 1.01 / 0.99 some 1,700 buckets reach from a microsecond
to two decades, of which a task uses a few dozen. Merging adds counts, so what is merged is exactly
what would have been counted together, in whatever order. The SQL function ``stats_bucket`` is the
same mapping. Rejected: t-digest, whose result depends on the order of merging.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RELATIVE_ERROR = 0.01
BUCKETS_PER_E = 49.99833328888678
"""1 / ln g: how many buckets a factor of e spans. Also in ``stats_bucket``."""

LAST_BUCKET = 1_700
_COUNT_BITS = 40
_COUNT_MASK = (1 << _COUNT_BITS) - 1
_US = 1_000_000


def bucket_of(microseconds: float) -> int:
    """The bucket of a duration; what is shorter than a microsecond counts as one."""
    return min(math.ceil(math.log(max(microseconds, 1.0)) * BUCKETS_PER_E), LAST_BUCKET)


def seconds_of(bucket: int) -> float:
    """What a bucket answers with: within 1 % of all that fell in it."""
    return (1 - RELATIVE_ERROR) * math.exp(bucket / BUCKETS_PER_E) / _US


@dataclass(slots=True)
class Histogram:
    """How many durations fell in each bucket."""

    counts: Counter[int] = field(default_factory=Counter)

    @classmethod
    def of(cls, durations_s: Iterable[float]) -> Self:
        """The histogram of these durations."""
        return cls(Counter(bucket_of(each * _US) for each in durations_s))

    @classmethod
    def unpacked(cls, packed: Iterable[int] | None) -> Self:
        """From the form the ledger keeps: the bucket above 40 bits of count."""
        histogram = cls()
        for entry in packed or ():
            histogram.counts[entry >> _COUNT_BITS] += entry & _COUNT_MASK
        return histogram

    @property
    def total(self) -> int:
        """How many durations it holds."""
        return self.counts.total()

    def add(self, duration_s: float) -> None:
        """Count one duration."""
        self.counts[bucket_of(duration_s * _US)] += 1

    def merge(self, other: Histogram) -> None:
        """Count what ``other`` has counted."""
        self.counts.update(other.counts)

    def quantile(self, q: float) -> float | None:
        """The duration (seconds) that a share ``q`` (0..1) does not exceed; None when empty."""
        total = self.total
        if not total:
            return None
        rank = max(1, math.ceil(q * total))
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= rank:
                return seconds_of(bucket)
        return None  # pragma: no cover - the last bucket holds the last rank

    def at_most(self, bounds_s: Iterable[float]) -> Mapping[float, int]:
        """How many durations are no longer than each bound, as Prometheus' ``le`` counts them."""
        ordered = sorted(self.counts.items())
        result = {}
        for bound in bounds_s:
            result[bound] = sum(n for bucket, n in ordered if seconds_of(bucket) <= bound)
        return result
