"""When a failed attempt is tried again (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from butler.durations import seconds
from butler.errors import DefinitionError, InvalidOption

if TYPE_CHECKING:
    from datetime import timedelta

Jitter = Literal["full", "equal", "none"]

MAX_DELAY_S = 365 * 86_400.0


@dataclass(frozen=True, slots=True, init=False)
class RetryPolicy:
    """How often, and after what pause, a failed attempt is tried again.

    ``max_attempts`` counts the first one (3 means two retries). The pause before retry ``n`` is
    drawn from ``0 .. min(cap_s, base_s * 2**(n-1))`` seconds (``jitter="full"``), from the upper
    half of it (``"equal"``), or is exactly that (``"none"``). Both may be given as a timedelta.
    Only exceptions in ``retry_on`` are retried, and never those in ``give_up_on``; subclasses
    count. Raises `DefinitionError` for what is out of range.

    Full jitter is what spreads a thundering herd best: M. Brooker, "Exponential Backoff And
    Jitter", AWS Architecture Blog, 2015.
    """

    max_attempts: int
    base_s: float
    cap_s: float
    jitter: Jitter
    retry_on: tuple[type[BaseException], ...]
    give_up_on: tuple[type[BaseException], ...]

    # By hand, because base_s and cap_s are taken as float or timedelta and kept as float.
    def __init__(
        self,
        max_attempts: int = 3,
        *,
        base_s: float | timedelta = 1.0,
        cap_s: float | timedelta = 3600.0,
        jitter: Jitter = "full",
        retry_on: type[BaseException] | tuple[type[BaseException], ...] = (BaseException,),
        give_up_on: type[BaseException] | tuple[type[BaseException], ...] = (),
    ) -> None:
        if jitter not in ("full", "equal", "none"):
            raise DefinitionError(f"jitter must be 'full', 'equal' or 'none', got {jitter!r}")
        base = _delay_s("base_s", base_s)
        cap = _delay_s("cap_s", cap_s)
        if cap < base:
            raise DefinitionError(f"cap_s must be >= base_s ({base:g}), got {cap:g}")
        given = {
            "max_attempts": _attempts(max_attempts),
            "base_s": base,
            "cap_s": cap,
            "jitter": jitter,
            "retry_on": _exception_types("retry_on", retry_on),
            "give_up_on": _exception_types("give_up_on", give_up_on),
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)

    def retries(self, error: BaseException) -> bool:
        """Whether this kind of error is worth another attempt."""
        return isinstance(error, self.retry_on) and not isinstance(error, self.give_up_on)

    def delay_s(self, attempts_used: int, *, random: float) -> float:
        """Seconds to wait after ``attempts_used`` counted attempts; ``random`` is in 0..1."""
        doublings = min(max(attempts_used - 1, 0), 62)
        bound = min(self.cap_s, self.base_s * 2.0**doublings)
        match self.jitter:
            case "full":
                return bound * random
            case "equal":
                return bound * (0.5 + random / 2)
            case "none":
                return bound


def _attempts(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise DefinitionError(f"max_attempts must be an int >= 1, got {value!r}")
    return value


def _delay_s(option: str, value: float | timedelta) -> float:
    try:
        return seconds(option, value, maximum=MAX_DELAY_S)
    except InvalidOption as exc:
        raise DefinitionError(str(exc)) from None


def _exception_types(option: str, value: object) -> tuple[type[BaseException], ...]:
    types = value if isinstance(value, tuple) else (value,)
    for item in types:
        if not (isinstance(item, type) and issubclass(item, BaseException)):
            raise DefinitionError(f"{option} must hold exception classes, got {item!r}")
    return types
