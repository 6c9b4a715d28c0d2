"""`AlertRules`: when to alert, and whom to tell; ``butler.alert_rules``."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, Unpack

from butler.durations import seconds
from butler.errors import (
    AlertRuleExists,
    AlertRuleNotFound,
    InvalidOption,
    StaleUpdate,
    did_you_mean,
)
from butler.monitoring.alerts.built_in import BUILT_IN, BY_NAME
from butler.monitoring.alerts.rule import AlertRule, RuleKind, Severity
from butler.option_texts import check_texts
from butler.storage.values import text_refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from butler.app import Butler
    from butler.storage.base import Storage

# Inside the class ``list`` is a method.
Rules: TypeAlias = list[AlertRule]

MAX_NAME = 100
SETTABLE = frozenset(f.name for f in fields(AlertRule)) - {"name", "built_in", "version"}
_DURATIONS = ("window_s", "open_after_s", "resolve_after_s", "escalate_after_s")
_NAMES = ("channels", "escalate_to")


class RuleOptions(TypedDict, total=False):
    """What can be said about a rule; see `AlertRule`."""

    threshold: float
    applies_to: str
    window_s: float
    at_least: int
    open_after_s: float
    resolve_after_s: float
    resolve_below: float
    severity: str
    channels: Iterable[str]
    escalate_after_s: float | None
    escalate_to: Iterable[str]
    enabled: bool
    description: str


class AlertRules:
    """The rules of a ledger: the built-in ones, as they are or as they were changed, and others."""

    def __init__(self, butler: Butler) -> None:
        self._butler = butler

    def list(self) -> Rules:
        """All rules, the built-in ones first."""
        return rules_of(self._butler.storage)

    def get(self, name: str) -> AlertRule:
        """A rule by its name; raises `AlertRuleNotFound`."""
        rules = {rule.name: rule for rule in self.list()}
        if name not in rules:
            raise AlertRuleNotFound(name, rules)
        return rules[name]

    def create(self, name: str, kind: str, **options: Unpack[RuleOptions]) -> AlertRule:
        """Add a rule; what is not given is as in the built-in rule of its kind.

        Raises `InvalidOption`, and `AlertRuleExists` where the name is taken.
        """
        if not 1 <= len(name) <= MAX_NAME or text_refusal(name):
            raise InvalidOption(f"a rule's name must be 1 to {MAX_NAME} characters, got {name!r}")
        rule = _changed(default_rule(name, _member(RuleKind, "kind", kind)), options)
        if name in BY_NAME or not self._butler.storage.write_alert_rule(rule, version=0):
            raise AlertRuleExists(name)
        return self.get(name)

    def update(
        self, name: str, *, version: int | None = None, **options: Unpack[RuleOptions]
    ) -> AlertRule:
        """Change what is given and leave the rest; with ``version`` only if the rule still has it.

        Raises `AlertRuleNotFound`, `InvalidOption` and `StaleUpdate`.
        """
        found = self.get(name)
        if version is not None and version != found.version:
            raise StaleUpdate(name, expected=version, found=found.version)
        changed = _changed(found, options)
        if not self._butler.storage.write_alert_rule(changed, version=found.version):
            raise StaleUpdate(name, expected=found.version, found=self.get(name).version)
        return self.get(name)

    def delete(self, name: str) -> None:
        """Remove a rule; a built-in one goes back to what it was. Raises `AlertRuleNotFound`.

        To be rid of a built-in rule, switch it off: ``update(name, enabled=False)``.
        """
        deleted = self._butler.storage.delete_alert_rule(name)
        if not deleted and name not in BY_NAME:
            raise AlertRuleNotFound(name, [rule.name for rule in self.list()])


def default_rule(name: str, kind: RuleKind) -> AlertRule:
    """The rule of that name as it is while nobody has said anything about it."""
    if name in BY_NAME:
        return BY_NAME[name]
    base = next((rule for rule in BUILT_IN if rule.kind is kind), AlertRule(name=name, kind=kind))
    return replace(base, name=name, built_in=False, description="")


def rules_of(storage: Storage) -> Rules:
    """All rules of a ledger, the built-in ones first."""
    stored = {rule.name: rule for rule in storage.alert_rules()}
    built_in = [
        replace(stored.pop(rule.name), built_in=True) if rule.name in stored else rule
        for rule in BUILT_IN
    ]
    return [*built_in, *stored.values()]


def _changed(rule: AlertRule, options: Any) -> AlertRule:
    checked = {name: _checked(name, value) for name, value in options.items()}
    changed = replace(rule, **checked)
    if changed.kind is RuleKind.FAILURE_RATE and changed.threshold > 1:
        got = f"{changed.threshold:g}"
        raise InvalidOption(f"threshold must be a share in 0..1 (0.25 is 25 %), got {got}")
    if changed.escalate_to and changed.escalate_after_s is None:
        raise InvalidOption("escalate_to needs escalate_after_s: after how long to escalate")
    return changed


def _checked(name: str, value: Any) -> Any:
    if name not in SETTABLE - {"kind"}:
        raise InvalidOption(f"a rule has no option {name!r}{did_you_mean(name, SETTABLE)}")
    if name in _DURATIONS:
        if value is None and name == "escalate_after_s":
            return None
        return seconds(name, value)
    if name in _NAMES:
        return check_texts(name, value, max_chars=MAX_NAME)
    match name:
        case "severity":
            return _member(Severity, name, value)
        case "threshold" | "resolve_below" | "at_least":
            return _number(name, value)
        case "enabled":
            if not isinstance(value, bool):
                raise InvalidOption(f"enabled must be True or False, got {value!r}")
            return value
    if not isinstance(value, str) or text_refusal(value) or len(value) > 1_000:
        raise InvalidOption(f"{name} must be a text of at most 1000 characters, got {value!r}")
    return value


def _number(name: str, value: Any) -> float:
    highest = 1.0 if name == "resolve_below" else 1e15
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest:
        raise InvalidOption(f"{name} must be a number in 0..{highest:g}, got {value!r}")
    return int(value) if name == "at_least" else value


def _member(kind: Any, name: str, value: object) -> Any:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(str(member) for member in kind)
        raise InvalidOption(f"{name} must be one of {known}, got {value!r}") from None
