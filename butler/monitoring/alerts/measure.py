"""What rules are held against: a number for each thing that a kind of rule is about (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from butler.monitoring.health.verdict import HealthCheck
    from butler.storage.monitoring_records import LedgerPicture


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """How much of a trouble ``subject`` has, since when, and what can be said about it."""

    subject: str
    value: float
    since: datetime
    summary: str
    cause: str = ""
    remedy: str = ""
    execution_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How many executions of a task were over in a stretch of time, by how they ended."""

    succeeded: int
    failed: int

    @property
    def share(self) -> float:
        """Of those that failed."""
        return self.failed / max(1, self.failed + self.succeeded)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """How long a task's successes took: their number and their 95th percentile."""

    number: int
    p95_s: float


class Figures:
    """Statistics that rules ask for, each read once a look; a storage's are `LedgerFigures`."""

    def rates(self, window_s: float) -> Mapping[str, Rate]:  # noqa: ARG002 - a null object
        """By task, over the last ``window_s``."""
        return {}

    def usual(self, window_s: float) -> Mapping[str, Usual]:  # noqa: ARG002
        """By task, over the last ``window_s``."""
        return {}

    def last_success(self, task: str, *, since: datetime) -> datetime | None:  # noqa: ARG002
        """The latest minute that began after ``since`` in which one succeeded."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelTrouble:
    """A channel whose deliveries fail, one after the other."""

    channel: str
    failures: int
    since: datetime
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """All that rules are held against, at one moment."""

    picture: LedgerPicture
    checks: tuple[HealthCheck, ...] = ()
    figures: Figures
    channels: tuple[ChannelTrouble, ...] = ()
