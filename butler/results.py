"""What a task may say about its own attempt, and what a worker makes of it (pure).

A task returns its result, or a `TaskResult` when it has more to say; `outcome_of` turns either
into one of three plain values, so that a worker can ``match`` on it:

    match outcome_of(returned):
        case Success(value): ...
        case Failure(message, retry): ...
        case Again(after_s, reason): ...
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Never, TypeAlias, TypeVar, overload

from butler.durations import seconds
from butler.errors import InvalidOption
from butler.record import record

if TYPE_CHECKING:
    from datetime import timedelta

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)


@record(frozen=True, slots=True)
class Success:
    """The attempt did its work; ``value`` is still the task's own object, not yet encoded."""

    value: Any


@dataclass(frozen=True, slots=True)
class Failure:
    """The attempt failed; ``retry`` is false where another attempt would be in vain."""

    message: str
    retry: bool


@dataclass(frozen=True, slots=True)
class Again:
    """The task asks to run again in ``after_s`` seconds; the attempt does not count."""

    after_s: float
    reason: str | None


Outcome: TypeAlias = Success | Failure | Again


@dataclass(frozen=True, slots=True)
class TaskResult(Generic[R_co]):
    """What a task returns to say more than its result; made by the three methods below."""

    outcome: Outcome

    def __post_init__(self) -> None:
        if not isinstance(self.outcome, (Success, Failure, Again)):
            raise InvalidOption(
                f"TaskResult(...) is not called directly, got {type(self.outcome).__name__}; "
                "use TaskResult.success(data), .failure(message) or .retry(after_s=...)"
            )

    @overload
    @staticmethod
    def success() -> TaskResult[None]: ...
    @overload
    @staticmethod
    def success(data: T) -> TaskResult[T]: ...
    @staticmethod
    def success(data: Any = None) -> TaskResult[Any]:
        """The work is done; ``data`` is the result. The same as returning ``data``."""
        return TaskResult(Success(data))

    @staticmethod
    def failure(message: str, *, retry: bool = True) -> TaskResult[Never]:
        """The attempt failed, without an exception.

        It is tried again by the task's retry policy; ``retry=False`` ends the execution at once.
        """
        if not isinstance(message, str):
            raise _not_text("message", message)
        if not isinstance(retry, bool):
            raise InvalidOption(f"retry must be True or False, got {retry!r}")
        return TaskResult(Failure(message, retry))

    @staticmethod
    def retry(*, after_s: float | timedelta, reason: str | None = None) -> TaskResult[Never]:
        """Run again in ``after_s`` seconds (>= 0); this attempt does not use up ``max_attempts``.

        For work that cannot be done yet: a report that is not ready, a service that says "later".
        """
        if reason is not None and not isinstance(reason, str):
            raise _not_text("reason", reason)
        return TaskResult(Again(seconds("after_s", after_s), reason))


def outcome_of(returned: object) -> Outcome:
    """What a task's return value means: anything but a `TaskResult` is a success with it."""
    if isinstance(returned, TaskResult):
        return returned.outcome
    return Success(returned)


def _not_text(option: str, value: object) -> InvalidOption:
    return InvalidOption(f"{option} must be a str, got {value!r} ({type(value).__name__})")
