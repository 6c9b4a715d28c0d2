"""What every schedule can do, and one fire of a preview (pure)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from butler.errors import InvalidSchedule

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Self

    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

# A schedule that comes from a request must not cost a scheduler seconds.
MAX_PARTS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewedFire:
    """One coming fire, and what a change of clocks did to it.

    ``at`` is the instant (UTC), ``local`` the same in the schedule's zone. ``moved_from`` is the
    wall time that does not exist that day, when the fire was moved to the end of the gap.
    ``occurrence`` is 1 or 2 when the wall time of the fire happens twice, else ``None``.
    """

    at: datetime
    local: datetime
    moved_from: datetime | None = None
    occurrence: int | None = None

    @property
    def moved(self) -> bool:
        """Whether the fire is not at the wall time that the expression names."""
        return self.moved_from is not None

    @property
    def note(self) -> str:
        """What to tell a reader about this fire; empty when clocks do not change around it."""
        if self.moved_from is not None:
            return (
                f"{self.moved_from:%Y-%m-%d %H:%M:%S} does not exist: moved to the end of the gap"
            )
        if self.occurrence is not None:
            which = "first" if self.occurrence == 1 else "second"
            return f"{self.local:%H:%M:%S} happens twice: the {which} time"
        return ""


class Schedule(ABC):
    """When to fire: a frozen, hashable value that maps an instant to the next one.

    In a pydantic model the annotation ``Schedule`` reads and writes the JSON form, one union
    discriminated by ``type``; the annotation ``Cron`` (or another) allows that one only.
    """

    __slots__ = ()

    @abstractmethod
    def next_after(self, after: datetime) -> datetime | None:
        """The first fire strictly after an aware datetime, in UTC; ``None`` when there is none.

        ``InvalidSchedule`` when ``after`` is naive.
        """

    @abstractmethod
    def describe(self) -> str:
        """The schedule in words, in English, without a full stop."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The JSON form: the same in the ledger, in the API and in TOML."""

    @abstractmethod
    def zone_names(self) -> frozenset[str]:
        """The zones whose wall clocks this schedule reads; empty for real-time schedules."""

    @abstractmethod
    def previewed(self, fire: datetime) -> PreviewedFire:
        """What a preview says about this instant, which must be a fire of this schedule."""

    @property
    def parts(self) -> tuple[Schedule, ...]:
        """The schedules this one is made of."""
        return ()

    def upcoming(self, start: datetime, count: int) -> list[datetime]:
        """The first ``count`` (>= 0) fires strictly after ``start``; fewer when they end."""
        if count < 0:
            raise InvalidSchedule(f"count must be >= 0, got {count}")
        fires: list[datetime] = []
        moment: datetime | None = start
        while len(fires) < count and moment is not None:
            moment = self.next_after(moment)
            if moment is not None:
                fires.append(moment)
        return fires

    def preview(self, start: datetime, count: int) -> list[PreviewedFire]:
        """``upcoming``, each fire with its local time and whether a change of clocks moved it."""
        return [self.previewed(fire) for fire in self.upcoming(start, count)]

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: type[Self], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        from butler.schedules.forms import core_schema

        return core_schema(cls, handler)


def check_parts(schedule: Schedule) -> None:
    """Refuse a combination of more than ``MAX_PARTS`` schedules, counted through all levels."""
    count = 0
    waiting: list[Schedule] = [schedule]
    while waiting:
        part = waiting.pop()
        if not isinstance(part, Schedule):
            raise InvalidSchedule(
                f"{type(schedule).__name__} is made of schedules such as Cron(...), got {part!r}"
            )
        count += 1
        waiting += part.parts
        if count > MAX_PARTS:
            raise InvalidSchedule(f"a schedule has at most {MAX_PARTS} parts, nested ones counted")
