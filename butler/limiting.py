"""What may be limited, and how a limit is written (pure).

A limit has a name: a task's own name, the text that its ``concurrency_key`` or ``rate_key`` makes
of a request, or ``queue:`` and a queue's. Names are known to the whole cluster, so tasks that use
the same key share its limit.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from butler.errors import InvalidOption

QUEUE_PREFIX = "queue:"
MAX_CONCURRENCY = 1_000_000
MAX_RATE_COUNT = 1_000_000
# Starts are let go in steps this long: what comes due within one may start together.
STEP_S = 0.1

_UNITS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
_RATE = re.compile(r"(\d{1,7})\s*/\s*(?:(\d{1,5})\s*)?([a-z]+?)s?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """At most ``burst`` starts at once, and one more every ``interval_s`` seconds."""

    text: str
    interval_s: float
    burst: int

    def __str__(self) -> str:
        usual = self.burst == _usual_burst(self.interval_s)
        return self.text if usual else f"{self.text}, {self.burst} together"


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRule:
    """What is allowed under one name; None where nothing is said."""

    max_concurrency: int | None = None
    rate: Rate | None = None

    def __str__(self) -> str:
        most = None if self.max_concurrency is None else f"{self.max_concurrency} at once"
        return ", ".join(str(part) for part in (most, self.rate) if part is not None) or "anything"

    @property
    def says_nothing(self) -> bool:
        """Whether everything is allowed."""
        return self.max_concurrency is None and self.rate is None

    def to_json(self) -> dict[str, Any]:
        """The form the ledger keeps."""
        rate = self.rate
        return {
            "max_concurrency": self.max_concurrency,
            "rate": None if rate is None else rate.text,
            "interval_s": None if rate is None else rate.interval_s,
            "burst": None if rate is None else rate.burst,
        }

    @classmethod
    def from_json(cls, *said: dict[str, Any] | None) -> LimitRule:
        """Read what `to_json` wrote; of several the last one that says a thing has it."""
        rule: dict[str, Any] = {}
        for each in said:
            rule |= each or {}
        rate = None
        if rule.get("interval_s") is not None:
            rate = Rate(text=rule["rate"], interval_s=rule["interval_s"], burst=rule["burst"])
        return cls(max_concurrency=rule.get("max_concurrency"), rate=rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitKeys:
    """Under which names one execution falls; None where that is the task's own.

    ``computed`` once code has seen its request: of a task that computes keys, no execution starts
    before that (`LimitStorage.note_limit_keys`). ``fair`` is no limit's: it is the key that takes
    turns with others on its queue.
    """

    concurrency: str | None = None
    rate: str | None = None
    computed: bool = False
    fair: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The form the ledger keeps."""
        pairs = {"concurrency": self.concurrency, "rate": self.rate, "fair": self.fair}
        said = {part: name for part, name in pairs.items() if name is not None}
        return {**said, "computed": True} if self.computed else said


def fair_key_of(keys: LimitKeys | None) -> str | None:
    """The key under which an execution with these takes turns; None where it does not."""
    return None if keys is None else keys.fair


def parse_rate(text: object, burst: int | None = None) -> Rate:
    """``"100/minute"`` as a `Rate`; raises `InvalidOption`.

    Evenly spread: one start every 0.6 seconds. With ``burst`` so many may start at once; over any
    time there are at most ``burst`` more than the rate says. Starts that come due within a tenth
    of a second may always come together.
    """
    found = _RATE.fullmatch(text.strip().lower()) if isinstance(text, str) else None
    if found is None or found[3] not in _UNITS:
        raise InvalidOption(
            f'rate must be a number a second, minute, hour or day, as "100/minute", got {text!r}'
        )
    count, period_s = int(found[1]), int(found[2] or 1) * _UNITS[found[3]]
    if not 1 <= count <= MAX_RATE_COUNT or period_s < 1:
        raise InvalidOption(f"rate must allow 1..{MAX_RATE_COUNT} starts, got {text!r}")
    interval_s = period_s / count
    return Rate(
        text=str(text).strip(),
        interval_s=interval_s,
        burst=check_count("rate_burst", burst) or _usual_burst(interval_s),
    )


def make_rule(
    *, max_concurrency: object = None, rate: object = None, rate_burst: int | None = None
) -> LimitRule:
    """A rule of what people write; raises `InvalidOption`."""
    if rate is None and rate_burst is not None:
        raise InvalidOption('rate_burst needs a rate: rate="100/minute", rate_burst=10')
    return LimitRule(
        max_concurrency=check_count("max_concurrency", max_concurrency),
        rate=None if rate is None else parse_rate(rate, rate_burst),
    )


def check_count(option: str, value: object) -> int | None:
    """None, or how many may be: 1..1,000,000; raises `InvalidOption`."""
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_CONCURRENCY:
        raise InvalidOption(f"{option} must be an int in 1..{MAX_CONCURRENCY}, got {value!r}")
    return value


def _usual_burst(interval_s: float) -> int:
    """What comes due within a step may start together."""
    return max(1, math.ceil(STEP_S / interval_s))
