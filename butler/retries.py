"""When a failed attempt is tried again (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from butler.errors import DefinitionError

Jitter = Literal["full", "equal", "none"]

MAX_DELAY_S = 365 * 86_400.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and after what pause, a failed attempt is tried again.

    ``max_attempts`` counts the first one (3 means two retries). The pause before retry ``n`` is
    drawn from ``0 .. min(cap_s, base_s * 2**(n-1))`` seconds (``jitter="full"``), from the upper
    half of it (``"equal"``), or is exactly that (``"none"``). Only exceptions in ``retry_on`` are
    retried, and never those in ``give_up_on``; subclasses count.

    Full jitter is what spreads a thundering herd best: M. Brooker, "Exponential Backoff And
    Jitter", AWS Architecture Blog, 2015.
    """

    max_attempts: int = 3
    base_s: float | timedelta = 1.0
    cap_s: float | timedelta = 3600.0
    jitter: Jitter = "full"
    retry_on: tuple[type[BaseException], ...] = (BaseException,)
    give_up_on: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        for name in ("base_s", "cap_s"):
            value = getattr(self, name)
            if isinstance(value, timedelta):
                object.__setattr__(self, name, value.total_seconds())
        for name in ("retry_on", "give_up_on"):
            object.__setattr__(self, name, _exception_types(name, getattr(self, name)))
        if not isinstance(self.max_attempts, int) or self.max_attempts < 1:
            raise DefinitionError(f"max_attempts must be an int >= 1, got {self.max_attempts!r}")
        if not 0 <= self.base_s <= MAX_DELAY_S:
            raise DefinitionError(f"base_s must be in 0..{MAX_DELAY_S:.0f}, got {self.base_s!r}")
        if not self.base_s <= self.cap_s <= MAX_DELAY_S:
            raise DefinitionError(
                f"cap_s must be in base_s..{MAX_DELAY_S:.0f}, got {self.cap_s!r} "
                f"with base_s={self.base_s!r}"
            )
        if self.jitter not in ("full", "equal", "none"):
            raise DefinitionError(f"jitter must be 'full', 'equal' or 'none', got {self.jitter!r}")

    def retries(self, error: BaseException) -> bool:
        """Whether this kind of error is worth another attempt."""
        return isinstance(error, self.retry_on) and not isinstance(error, self.give_up_on)

    def delay_s(self, attempts_used: int, *, random: float) -> float:
        """Seconds to wait after ``attempts_used`` counted attempts; ``random`` is in 0..1."""
        doublings = min(max(attempts_used - 1, 0), 62)
        bound = min(float(self.cap_s), float(self.base_s) * 2.0**doublings)  # type: ignore[arg-type]
        match self.jitter:
            case "full":
                return bound * random
            case "equal":
                return bound * (0.5 + random / 2)
            case "none":
                return bound


def _exception_types(option: str, value: object) -> tuple[type[BaseException], ...]:
    types = value if isinstance(value, tuple) else (value,)
    for item in types:
        if not (isinstance(item, type) and issubclass(item, BaseException)):
            raise DefinitionError(f"{option} must hold exception classes, got {item!r}")
    return types
