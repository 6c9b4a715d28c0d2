"""The options of a recurring job, and what each may be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from butler.durations import seconds
from butler.errors import InvalidOption, InvalidSchedule
from butler.option_names import unknown_option
from butler.option_texts import check_aware, check_text, check_user_id
from butler.options import MAX_DESCRIPTION_CHARS, MAX_NAME_CHARS, check_enqueue_options
from butler.recurring.job import Misfire, Overlap
from butler.schedules import Schedule, schedule_from_json

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from typing import Literal

    from butler.options import PriorityLike

    MisfireLike = Misfire | Literal["fire_once", "skip", "catch_up"]
    OverlapLike = Overlap | Literal["skip", "allow", "queue", "cancel_running"]

MAX_CATCH_UP = 1_000
MAX_CONCURRENCY = 1_000
MAX_FIRES = 2**31 - 1

DEFAULTS: Mapping[str, Any] = {
    "enabled": True,
    "misfire": Misfire.FIRE_ONCE,
    "misfire_grace_s": 300.0,
    "catch_up_limit": 100,
    "overlap": Overlap.SKIP,
    "max_concurrency": 1,
    "jitter_s": 0.0,
    "starts_at": None,
    "ends_at": None,
    "max_fires": None,
    "queue": None,
    "priority": None,
    "max_attempts": None,
    "timeout_s": None,
    "tags": (),
    "description": "",
    "owner": None,
}


class RecurringOptions(TypedDict, total=False):
    """What may be said about a recurring job beside its task, request and schedule.

    ``enabled`` False makes it paused. ``misfire`` decides about fire times that passed unnoticed:
    see `Misfire`; ``misfire_grace_s`` (default 300) is how late ``fire_once`` may be,
    ``catch_up_limit`` (default 100, at most 1,000) how many ``catch_up`` makes up for. ``overlap``
    decides about a fire while ``max_concurrency`` (default 1) executions are unfinished: see
    `Overlap`. ``jitter_s`` moves each of a job's fires by the same share of it, so that many jobs
    do not start in one second. ``starts_at`` and ``ends_at`` are inclusive; ``max_fires`` ends the
    job. ``queue``, ``priority``, ``max_attempts`` and ``timeout_s`` are the task's where they are
    None; ``tags`` are added to the task's. ``owner`` becomes the executions' ``user_id``.
    """

    enabled: bool
    misfire: MisfireLike
    misfire_grace_s: float | timedelta
    catch_up_limit: int
    overlap: OverlapLike
    max_concurrency: int
    jitter_s: float | timedelta
    starts_at: datetime | None
    ends_at: datetime | None
    max_fires: int | None
    queue: str | None
    priority: PriorityLike | None
    max_attempts: int | None
    timeout_s: float | timedelta | None
    tags: Iterable[str]
    description: str
    owner: str | None


def check_recurring_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, each checked and in its inner form; raises `InvalidOption`."""
    checked: dict[str, Any] = {}
    for name, value in given.items():
        if name in _ENQUEUE:
            found = check_enqueue_options({name: value})
            checked[name] = found.get(name, DEFAULTS[name])
        elif name in _CHECKS:
            checked[name] = DEFAULTS[name] if value is None else _CHECKS[name](value)
        else:
            raise InvalidOption(unknown_option(name, DEFAULTS))
    starts_at, ends_at = checked.get("starts_at"), checked.get("ends_at")
    if starts_at and ends_at and ends_at < starts_at:
        raise InvalidOption(f"ends_at must not be before starts_at, got {ends_at} and {starts_at}")
    return checked


def check_job_name(value: object) -> str:
    """A recurring job's name; raises `InvalidOption`."""
    return check_text("name", value, max_chars=MAX_NAME_CHARS)


def check_schedule(schedule: object) -> Schedule:
    """A schedule, or one in its JSON form; raises `InvalidSchedule`."""
    if isinstance(schedule, Schedule):
        return schedule
    if isinstance(schedule, Mapping):
        return schedule_from_json(schedule)
    raise InvalidSchedule(
        f"a schedule is Cron(...), Interval(...), Once(...), or its JSON form, got {schedule!r}"
    )


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidOption(f"enabled must be True or False, got {value!r}")
    return value


def _misfire(value: Any) -> Misfire:
    try:
        return Misfire(value)
    except ValueError:
        known = ", ".join(map(repr, map(str, Misfire)))
        raise InvalidOption(f"misfire must be one of {known}, got {value!r}") from None


def _overlap(value: Any) -> Overlap:
    try:
        return Overlap(value)
    except ValueError:
        known = ", ".join(map(repr, map(str, Overlap)))
        raise InvalidOption(f"overlap must be one of {known}, got {value!r}") from None


def _count(option: str, *, maximum: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= maximum:
            raise InvalidOption(f"{option} must be an int in 1..{maximum}, got {value!r}")
        return value

    return check


def _description(value: object) -> str:
    if value == "":
        return ""
    return check_text("description", value, max_chars=MAX_DESCRIPTION_CHARS)


def _owner(value: object) -> str:
    try:
        return check_user_id(value)
    except InvalidOption as error:
        raise InvalidOption(str(error).replace("user_id", "owner")) from None


_ENQUEUE = frozenset({"queue", "priority", "max_attempts", "timeout_s", "tags"})

_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "enabled": _flag,
    "misfire": _misfire,
    "misfire_grace_s": lambda value: seconds("misfire_grace_s", value),
    "catch_up_limit": _count("catch_up_limit", maximum=MAX_CATCH_UP),
    "overlap": _overlap,
    "max_concurrency": _count("max_concurrency", maximum=MAX_CONCURRENCY),
    "jitter_s": lambda value: seconds("jitter_s", value, maximum=365 * 86_400.0),
    "starts_at": lambda value: check_aware("starts_at", value),
    "ends_at": lambda value: check_aware("ends_at", value),
    "max_fires": _count("max_fires", maximum=MAX_FIRES),
    "description": _description,
    "owner": _owner,
}
