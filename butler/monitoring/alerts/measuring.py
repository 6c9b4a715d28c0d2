"""Which function measures what a rule is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from butler.monitoring.alerts.measuring_fleet import FLEET
from butler.monitoring.alerts.measuring_tasks import TASKS

if TYPE_CHECKING:
    from butler.monitoring.alerts.measure import Measure, View
    from butler.monitoring.alerts.rule import AlertRule

_MEASURING = {**TASKS, **FLEET}


class Measures:
    """The measures of one view; rules that ask for the same share them."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._found: dict[tuple[str, float, int], list[Measure]] = {}

    def of(self, rule: AlertRule) -> list[Measure]:
        """What there is of what the rule is about, for the subjects that it covers."""
        key = (rule.kind, rule.window_s, rule.at_least)
        if key not in self._found:
            self._found[key] = list(_MEASURING[rule.kind](self._view, rule))
        found = self._found[key]
        if rule.applies_to == "*":
            return found
        return [measure for measure in found if rule.covers(measure.subject)]
