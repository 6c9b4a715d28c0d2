"""The options of a task and of one enqueue, and what each may be.

`TaskOptions` is what a definition carries; `EnqueueOptions` is what one call may set over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from butler.durations import check_days, seconds
from butler.errors import DefinitionError, InvalidOption
from butler.executions import Priority
from butler.fair_keys import FairBy, check_fair_by, check_fair_key
from butler.limiting import LimitRule, make_rule
from butler.option_names import unknown_option
from butler.option_texts import (
    check_aware,
    check_limit_key,
    check_tags,
    check_text,
    check_texts,
    check_unique_key,
    check_user_id,
)
from butler.queue_names import DEFAULT_QUEUE, check_queue_name
from butler.retries import RetryPolicy

if TYPE_CHECKING:
    from butler.joining import Transaction

_NEVER = datetime.max.replace(tzinfo=UTC)

PriorityLike = Priority | Literal["high", "normal", "low"]
Isolation = Literal["async", "thread", "process"]
UniqueKey = str | Callable[[Any], str | None]
LimitKey = str | Callable[[Any], str | None]

DEFAULT_TIMEOUT_S = 300.0
DEFAULT_RETRY = RetryPolicy()
MAX_TIMEOUT_S = 365 * 86_400.0
MAX_DELAY_S = 10 * 365 * 86_400.0
MAX_ATTEMPTS = 1_000_000
MAX_NAME_CHARS = 200
MAX_DESCRIPTION_CHARS = 10_000
# An interpreter with an application in it takes about this much before any work is done.
MIN_MEMORY_LIMIT_MB = 128


class TaskOptionFields(TypedDict, total=False):
    """What the decorator takes, and what a task class sets as attributes.

    ``name`` defaults to the class's or function's, ``description`` to its docstring. ``tags``
    are given to each execution too. ``timeout_s`` is in seconds, None for no limit. ``isolation``
    is "async" for ``async def`` and "thread" for ``def`` unless it is "process": a process of its
    own for each attempt, of at most ``memory_limit_mb``. ``unique_key`` is a str or a function of
    the request: while an execution with that key is unfinished, another enqueue returns it.
    ``max_concurrency`` attempts run at once, and ``rate`` ("100/minute") start, ``rate_burst`` of
    them together: in the whole cluster, for the task or for each ``concurrency_key`` and
    ``rate_key``, which are a str or a function of the request. ``fair_by`` names a field of the
    request, or is a function of it: executions with the same value take turns with the others.
    ``retention_days`` is how long its finished executions are kept, where the ledger's own
    `Retention` does not say it. ``aliases`` are older names that workers still understand.
    """

    name: str | None
    description: str | None
    tags: Iterable[str]
    queue: str
    priority: PriorityLike
    retry: RetryPolicy | None
    timeout_s: float | timedelta | None
    isolation: Isolation | None
    memory_limit_mb: int | None
    unique_key: UniqueKey | None
    max_concurrency: int | None
    concurrency_key: LimitKey | None
    rate: str | None
    rate_key: LimitKey | None
    rate_burst: int | None
    fair_by: FairBy | None
    retention_days: float | None
    aliases: Iterable[str]


class EnqueueOptions(TypedDict, total=False):
    """What one enqueue may set; None is the same as leaving it out, and then the task decides.

    ``delay_s`` counts seconds from the ledger's now, ``run_at`` is an aware datetime; only one of
    them. No attempt starts after ``expires_at``, an aware datetime. ``replace`` lets the execution
    that holds the unique key do this instead, if it still waits. ``tags`` are added to the task's.
    ``max_attempts`` counts the first attempt. ``concurrency_key`` names what the task's
    ``max_concurrency`` holds for, instead of the task's own key; ``fair_key`` is what takes turns,
    instead of what ``fair_by`` makes. ``transaction`` is a connection of yours: the execution
    exists when you commit, and never if you do not.
    """

    delay_s: float | timedelta | None
    run_at: datetime | None
    expires_at: datetime | None
    queue: str | None
    priority: PriorityLike | None
    unique_key: str | None
    replace: bool | None
    concurrency_key: str | None
    fair_key: str | None
    user_id: str | None
    tags: Iterable[str] | None
    max_attempts: int | None
    timeout_s: float | timedelta | None
    transaction: Transaction | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDefaults:
    """What the settings say for tasks that do not say it themselves."""

    max_attempts: int = DEFAULT_RETRY.max_attempts
    timeout_s: float = DEFAULT_TIMEOUT_S


BUILT_IN = TaskDefaults()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """A task's options, checked; the meaning of each is at `TaskOptionFields`.

    ``stated`` names those that its author wrote; the settings may speak for the others. Raises
    `InvalidOption` for a value that is out of range.
    """

    name: str
    description: str = ""
    tags: tuple[str, ...] = ()
    queue: str = DEFAULT_QUEUE
    priority: Priority = Priority.NORMAL
    retry: RetryPolicy = DEFAULT_RETRY
    timeout_s: float | None = DEFAULT_TIMEOUT_S
    isolation: Isolation = "thread"
    memory_limit_mb: int | None = None
    unique_key: UniqueKey | None = None
    max_concurrency: int | None = None
    concurrency_key: LimitKey | None = None
    rate: str | None = None
    rate_key: LimitKey | None = None
    rate_burst: int | None = None
    fair_by: FairBy | None = None
    retention_days: float | None = None
    aliases: tuple[str, ...] = ()
    stated: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name, check in _TASK_CHECKS.items():
            object.__setattr__(self, name, check(getattr(self, name)))
        rule = self.limit
        for key, needs in (("concurrency_key", rule.max_concurrency), ("rate_key", rule.rate)):
            if getattr(self, key) is not None and needs is None:
                option = "max_concurrency" if key == "concurrency_key" else "rate"
                raise InvalidOption(f"{key} needs {option}: it says for what that holds")

    @property
    def limit(self) -> LimitRule:
        """How many may run at once and how often one may start, of the task or of each key."""
        return make_rule(
            max_concurrency=self.max_concurrency, rate=self.rate, rate_burst=self.rate_burst
        )

    @property
    def computes_limit_keys(self) -> bool:
        """Whether only code can tell under which limits' names a request falls."""
        return callable(self.concurrency_key) or callable(self.rate_key)

    def max_attempts(self, defaults: TaskDefaults) -> int:
        """How often it is tried, the first time included."""
        return self.retry.max_attempts if "retry" in self.stated else defaults.max_attempts

    def time_limit_s(self, defaults: TaskDefaults) -> float | None:
        """How long an attempt may take; None for no limit."""
        return self.timeout_s if "timeout_s" in self.stated else defaults.timeout_s

    def to_json(self, defaults: TaskDefaults = BUILT_IN) -> dict[str, Any]:
        """What other processes need to know; read back by ``KnownTasks``."""
        computed = callable(self.unique_key)
        return {
            "queue": self.queue,
            "priority": self.priority.value,
            "max_attempts": self.max_attempts(defaults),
            "timeout_s": self.time_limit_s(defaults),
            "isolation": self.isolation,
            "memory_limit_mb": self.memory_limit_mb,
            "unique_key": None if computed else self.unique_key,
            "unique_key_is_computed": computed,
            "concurrency_key": None if callable(self.concurrency_key) else self.concurrency_key,
            "rate_key": None if callable(self.rate_key) else self.rate_key,
            "fair_by": None if callable(self.fair_by) else self.fair_by,
            "retention_days": self.retention_days,
            "limit": self._limit_form(),
            "aliases": list(self.aliases),
        }

    def _limit_form(self) -> dict[str, Any] | None:
        """What the ledger needs to know: the rule, and which of its keys only code can make."""
        if self.limit.says_nothing:
            return None
        keys = {"concurrency": self.concurrency_key, "rate": self.rate_key}
        plain = {part: key for part, key in keys.items() if isinstance(key, str)}
        form = self.limit.to_json() | ({"keys": plain} if plain else {})
        return form | ({"computed": True} if self.computes_limit_keys else {})


def task_options(given: Mapping[str, Any], *, where: str) -> TaskOptions:
    """Options as they were written; raises `DefinitionError`, naming ``where``."""
    for name in given:
        if name not in TASK_OPTION_NAMES:
            raise DefinitionError(f"{where}: {unknown_option(name, TASK_OPTION_NAMES)}")
    # None stands for "the default", but for timeout_s, where it is a value: no limit.
    chosen = {k: v for k, v in given.items() if v is not None or k == "timeout_s"}
    try:
        return TaskOptions(**chosen, stated=frozenset(chosen))
    except InvalidOption as error:
        raise DefinitionError(f"{where}: {error}") from error


def check_enqueue_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are set, each checked and in its inner form; raises `InvalidOption`."""
    checked = {}
    for name, value in options.items():
        check = _ENQUEUE_CHECKS.get(name)
        if check is None:
            raise InvalidOption(unknown_option(name, _ENQUEUE_CHECKS))
        if value is not None:
            checked[name] = check(value)
    if "delay_s" in checked and "run_at" in checked:
        raise InvalidOption("delay_s and run_at exclude each other: both say when to run")
    if "run_at" in checked and checked.get("expires_at", _NEVER) <= checked["run_at"]:
        raise InvalidOption("expires_at must be later than run_at: it would never start")
    return checked


def _check_name(value: object) -> str:
    return check_text("name", value, max_chars=MAX_NAME_CHARS)


def _check_description(value: object) -> str:
    if value == "":
        return ""
    return check_text("description", value, max_chars=MAX_DESCRIPTION_CHARS)


def _check_aliases(value: object) -> tuple[str, ...]:
    return check_texts("aliases", value, max_chars=MAX_NAME_CHARS)


def _check_priority(value: Any) -> Priority:
    try:
        return Priority(value)
    except ValueError:
        raise InvalidOption(f"priority must be 'high', 'normal' or 'low', got {value!r}") from None


def _check_retry(value: object) -> RetryPolicy:
    if not isinstance(value, RetryPolicy):
        raise InvalidOption(f"retry must be a RetryPolicy, got {value!r}")
    return value


def _check_timeout(value: Any) -> float:
    return seconds("timeout_s", value, exclusive=True, maximum=MAX_TIMEOUT_S)


def _check_task_timeout(value: Any) -> float | None:
    return None if value is None else _check_timeout(value)


def _check_delay(value: Any) -> float:
    return seconds("delay_s", value, maximum=MAX_DELAY_S)


def _check_run_at(value: object) -> datetime:
    return check_aware("run_at", value)


def _check_expires_at(value: object) -> datetime:
    return check_aware("expires_at", value)


def _check_replace(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidOption(f"replace must be True or False, got {value!r}")
    return value


def _check_isolation(value: object) -> Isolation:
    if value not in ("async", "thread", "process"):
        raise InvalidOption(f"isolation must be 'async', 'thread' or 'process', got {value!r}")
    return value


def _check_memory_limit(value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < MIN_MEMORY_LIMIT_MB:
        raise InvalidOption(
            f"memory_limit_mb must be an int >= {MIN_MEMORY_LIMIT_MB}, got {value!r}"
        )
    return value


def _check_task_unique_key(value: Any) -> UniqueKey | None:
    return value if value is None or callable(value) else check_unique_key(value)


def _check_task_limit_key(value: Any) -> LimitKey | None:
    return value if value is None or callable(value) else check_limit_key(value)


def _check_retention(value: Any) -> float | None:
    return None if value is None else check_days("retention_days", value)


def _check_max_attempts(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_ATTEMPTS:
        raise InvalidOption(f"max_attempts must be an int in 1..{MAX_ATTEMPTS}, got {value!r}")
    return value


_TASK_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "name": _check_name,
    "description": _check_description,
    "tags": check_tags,
    "queue": check_queue_name,
    "priority": _check_priority,
    "retry": _check_retry,
    "timeout_s": _check_task_timeout,
    "isolation": _check_isolation,
    "memory_limit_mb": _check_memory_limit,
    "unique_key": _check_task_unique_key,
    "concurrency_key": _check_task_limit_key,
    "rate_key": _check_task_limit_key,
    "fair_by": check_fair_by,
    "retention_days": _check_retention,
    "aliases": _check_aliases,
}

_ENQUEUE_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "delay_s": _check_delay,
    "run_at": _check_run_at,
    "expires_at": _check_expires_at,
    "queue": check_queue_name,
    "priority": _check_priority,
    "unique_key": check_unique_key,
    "replace": _check_replace,
    "concurrency_key": check_limit_key,
    "fair_key": check_fair_key,
    "user_id": check_user_id,
    "tags": check_tags,
    "max_attempts": _check_max_attempts,
    "timeout_s": _check_timeout,
}

TASK_OPTION_NAMES = tuple(field.name for field in fields(TaskOptions) if field.name != "stated")
