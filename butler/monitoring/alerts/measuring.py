"""Which function measures what a rule is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from butler.monitoring.alerts.measuring_fleet import FLEET, measures_of_checks
from butler.monitoring.alerts.measuring_tasks import TASKS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from butler.monitoring.alerts.measure import Measure, View
    from butler.monitoring.alerts.rule import AlertRule
    from butler.monitoring.health.verdict import HealthCheck

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
        return covered(self._found[key], rule)


class CheckMeasures:
    """The measures of some health checks alone, for rules about these."""

    def __init__(self, checks: Sequence[HealthCheck], *, now: datetime) -> None:
        self._found = list(measures_of_checks(checks, now=now))

    def of(self, rule: AlertRule) -> list[Measure]:
        """Those that the rule covers."""
        return covered(self._found, rule)


def covered(measures: list[Measure], rule: AlertRule) -> list[Measure]:
    """Those whose subjects the rule is about."""
    if rule.applies_to == "*":
        return measures
    return [measure for measure in measures if rule.covers(measure.subject)]
