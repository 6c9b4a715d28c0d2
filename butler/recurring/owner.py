"""What makes a `Butler` the owner of recurring jobs: ``butler.recurring``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from butler.enqueueing import Plan
    from butler.producing import Order, Parent
    from butler.recurring.service import RecurringJobs
    from butler.storage.records import NewExecution


class RecurringOwner(ABC):
    """Has `RecurringJobs`, made at first use: an application without any loads nothing of them."""

    _recurring: RecurringJobs | None = None

    @property
    def recurring(self) -> RecurringJobs:
        """The recurring jobs of the ledger; ``@butler.recurring(...)`` declares one in code."""
        if self._recurring is None:
            from butler.app import Butler
            from butler.recurring.service import RecurringJobs

            assert isinstance(self, Butler)
            self._recurring = RecurringJobs(
                self, prepare=lambda order: self._prepared(order, None), plan=self._plan_of
            )
        return self._recurring

    @abstractmethod
    def _prepared(self, order: Order, parent: Parent | None) -> tuple[NewExecution, Plan]:
        """An order checked against its task."""

    @abstractmethod
    def _plan_of(self, task: str) -> Plan:
        """What a task says about its executions; raises `UnknownTask`."""
