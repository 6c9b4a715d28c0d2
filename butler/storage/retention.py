"""How long what is over is kept."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from butler.durations import check_days
from butler.errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_DAYS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Days (> 0, fractions too) for which finished executions are kept, by how they ended.

    ``tasks`` holds other retentions, or days for all of its states, for single tasks by name.
    Raises `InvalidOption`.
    """

    succeeded: float = DEFAULT_DAYS
    failed: float = DEFAULT_DAYS
    cancelled: float = DEFAULT_DAYS
    tasks: Mapping[str, Retention | float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("succeeded", "failed", "cancelled"):
            _check(name, getattr(self, name))
        for task, days in self.tasks.items():
            if isinstance(days, Retention):
                if days.tasks:
                    raise InvalidOption(f"the retention of task {task!r} holds others' retentions")
            else:
                _check(f"the retention of task {task!r}", days)

    @classmethod
    def of(cls, days: float | Retention) -> Retention:
        """The retention itself, or the same days for every state."""
        if isinstance(days, Retention):
            return days
        _check("retention_days", days)
        return cls(succeeded=days, failed=days, cancelled=days)

    def of_task(self, task: str) -> Retention:
        """What holds for one task."""
        return Retention.of(self.tasks[task]) if task in self.tasks else self

    def joined(self, tasks: Mapping[str, float]) -> Retention:
        """This one, and days for single tasks of which it says nothing itself."""
        return replace(self, tasks={**tasks, **self.tasks}) if tasks else self

    @property
    def days(self) -> tuple[float, float, float]:
        """For succeeded, failed and cancelled ones."""
        return self.succeeded, self.failed, self.cancelled

    @property
    def shortest(self) -> float:
        """Nothing that is younger than these days is over its retention."""
        return min(*self.days, *(min(self.of_task(task).days) for task in self.tasks))

    @property
    def longest(self) -> float:
        """Everything that is older than these days is."""
        return max(*self.days, *(max(self.of_task(task).days) for task in self.tasks))


def _check(name: str, days: object) -> None:
    check_days(name, days, otherwise=", or a Retention")
