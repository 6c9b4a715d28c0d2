"""`RequestMetrics`: what this process has answered, in Prometheus' form.

The ledger's own numbers are the leading scheduler's to tell: here they would be counted once for
each process that serves the API.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from butler.histograms import Histogram
from butler.monitoring.metrics import Metric, Sample, counter, gauge, histogram_samples
from butler.web.problems import INTERNAL, MALFORMED, UNAUTHENTICATED

if TYPE_CHECKING:
    from collections.abc import Iterator

# What no route answers; paths are never labels, because callers choose them.
UNKNOWN = "none"


class RequestMetrics:
    """Counts requests; for one event loop's thread."""

    def __init__(self) -> None:
        self._answered: Counter[tuple[str, str]] = Counter()
        self._took: dict[str, Histogram] = {}
        self._took_s: dict[str, float] = {}
        self._strangers = 0
        self._in_flight = 0

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """While a request is being answered."""
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1

    def answered(self, resource: str, *, status: int, took_s: float | None) -> None:
        """A request was; ``took_s`` is None for a stream, which takes as long as one looks."""
        self._answered[resource, _outcome(status)] += 1
        self._strangers += status == UNAUTHENTICATED.status
        if took_s is not None:
            self._took.setdefault(resource, Histogram()).add(took_s)
            self._took_s[resource] = self._took_s.get(resource, 0.0) + took_s

    def metrics(self, *, streams: int) -> list[Metric]:
        """All there is to tell; ``streams`` are open."""
        answered = sorted(self._answered.items())
        took = sorted(self._took.items())
        return [
            counter(
                "butler_web_requests_total",
                "Requests that were answered, by resource and outcome.",
                (
                    Sample(number, {"resource": resource, "outcome": outcome})
                    for (resource, outcome), number in answered
                ),
            ),
            Metric(
                "butler_web_request_seconds",
                "histogram",
                "How long answers took, but for streams.",
                tuple(
                    sample
                    for resource, histogram in took
                    for sample in histogram_samples(
                        histogram, total_s=self._took_s[resource], labels={"resource": resource}
                    )
                ),
            ),
            gauge(
                "butler_web_requests_in_flight",
                "Requests that are being answered, and open streams.",
                self._in_flight,
            ),
            gauge("butler_web_streams", "Streams that are open.", streams),
            counter(
                "butler_web_strangers_total",
                "Requests that had no good token.",
                [Sample(self._strangers)],
            ),
        ]


def _outcome(status: int) -> str:
    if status >= INTERNAL.status:
        return "failed"
    return "refused" if status >= MALFORMED.status else "answered"
