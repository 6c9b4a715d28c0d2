"""Numbers in Prometheus' text form (version 0.0.4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Sample:
    """One value with its labels."""

    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Metric:
    """A named number; ``samples`` has one for each set of labels."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    samples: tuple[Sample, ...]


def gauge(name: str, description: str, value: float, **labels: str) -> Metric:
    """A number that goes up and down, with one sample."""
    return Metric(name, "gauge", description, (Sample(value, labels),))


def counter(name: str, description: str, samples: Iterable[Sample]) -> Metric:
    """A number that only grows; by convention its name ends in ``_total``."""
    return Metric(name, "counter", description, tuple(samples))


def exposition(metrics: Iterable[Metric]) -> str:
    """What ``/metrics`` answers."""
    lines = []
    for metric in metrics:
        lines.append(f"# HELP {metric.name} {_escaped(metric.help)}")
        lines.append(f"# TYPE {metric.name} {metric.kind}")
        lines.extend(_line(metric.name, sample) for sample in metric.samples)
    return "\n".join(lines) + "\n"


def _line(name: str, sample: Sample) -> str:
    labels = ",".join(
        f'{key}="{_escaped(value)}"'.replace("\r", "") for key, value in sample.labels.items()
    )
    value = f"{sample.value:g}" if sample.value != int(sample.value) else str(int(sample.value))
    return f"{name}{{{labels}}} {value}" if labels else f"{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
