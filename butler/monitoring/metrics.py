"""Numbers in Prometheus' text form (version 0.0.4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from butler.histograms import Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

BOUNDS_S = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 3_600
)  # fmt: skip
"""Upper bounds of the buckets of a histogram, in seconds."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One value with its labels; ``suffix`` goes behind the metric's name, in a histogram."""

    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """A named number; ``samples`` has one for each set of labels."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    samples: tuple[Sample, ...]


def gauge(name: str, description: str, value: float, **labels: str) -> Metric:
    """A number that goes up and down, with one sample."""
    return Metric(name, "gauge", description, (Sample(value, labels),))


def counter(name: str, description: str, samples: Iterable[Sample]) -> Metric:
    """A number that only grows; by convention its name ends in ``_total``."""
    return Metric(name, "counter", description, tuple(samples))


def histogram_samples(
    histogram: Histogram, *, total_s: float, labels: Mapping[str, str]
) -> Iterator[Sample]:
    """A histogram as Prometheus has it: how many were no longer than each of `BOUNDS_S`."""
    for bound, number in histogram.at_most(BOUNDS_S).items():
        yield Sample(number, {**labels, "le": f"{bound:g}"}, "_bucket")
    yield Sample(histogram.total, {**labels, "le": "+Inf"}, "_bucket")
    yield Sample(total_s, labels, "_sum")
    yield Sample(histogram.total, labels, "_count")


def exposition(metrics: Iterable[Metric]) -> str:
    """What ``/metrics`` answers."""
    lines = []
    for metric in metrics:
        lines.append(f"# HELP {metric.name} {_escaped(metric.help)}")
        lines.append(f"# TYPE {metric.name} {metric.kind}")
        lines.extend(_line(metric.name + sample.suffix, sample) for sample in metric.samples)
    return "\n".join(lines) + "\n"


def _line(name: str, sample: Sample) -> str:
    labels = ",".join(
        f'{key}="{_escaped(value)}"'.replace("\r", "") for key, value in sample.labels.items()
    )
    whole = sample.value == int(sample.value)
    value = str(int(sample.value)) if whole else repr(round(sample.value, 6))
    return f"{name}{{{labels}}} {value}" if labels else f"{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
