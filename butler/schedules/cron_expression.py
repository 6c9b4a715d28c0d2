"""A cron expression, read into sets of bits (pure).

What: ``parse_cron`` turns text into ``CronFields``: one integer per field, bit ``n`` set when the
value ``n`` is allowed, and a ``DayRule`` that knows the days of any month.

Guarantee: what is accepted can fire (``0 0 31 2 *`` is refused), what is refused is named by its
field, with what the field allows; reading is linear in at most 256 characters.

Why not croniter: it fires a fixed time twice when clocks go back, has no ``5L`` or ``LW``, wants
seconds last and reads ``*/90`` as ``0``. Correcting its answers from outside needed its parsed
fields again, so the fields are read here; the tests ask croniter where both agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from butler.errors import InvalidSchedule, did_you_mean
from butler.schedules.cron_days import DayRule, parse_days
from butler.schedules.cron_field import DAY, HOUR, MINUTE, MONTH, SECOND, WEEKDAY, Field, read_masks

MAX_LENGTH = 256

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
    "@every_minute": "* * * * *",
    "@every_second": "* * * * * *",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CronFields:
    """An expression that can fire, as bit sets.

    ``every`` is true when the second, minute or hour field says "every n" (``*``, ``/`` or a
    range): such an expression follows real time when clocks go back. ``texts`` are the six
    fields as written, seconds first.
    """

    seconds: int
    minutes: int
    hours: int
    months: int
    days: DayRule
    every: bool
    texts: tuple[str, str, str, str, str, str]


@lru_cache(maxsize=4096)
def parse_cron(expression: str) -> CronFields:
    """Read 5 fields, 6 with seconds first, or an ``@`` alias; raises ``InvalidSchedule``."""
    texts = _split(expression)
    second, minute, hour, day, month, weekday = texts
    fields = CronFields(
        seconds=_plain(SECOND, second),
        minutes=_plain(MINUTE, minute),
        hours=_plain(HOUR, hour),
        months=_plain(MONTH, month),
        days=parse_days(day, weekday),
        every=any(sign in text for text in (second, minute, hour) for sign in "*/-"),
        texts=texts,
    )
    if not fields.days.can_match(fields.months):
        raise InvalidSchedule(
            f'"{expression}" never fires: {MONTH.name} field "{month}" has no day that '
            f'{DAY.name} field "{day}" and {WEEKDAY.name} field "{weekday}" allow'
        )
    return fields


def normalise(expression: object) -> str:
    """The expression with single spaces; refuses what is no text or too long."""
    if not isinstance(expression, str):
        raise InvalidSchedule(
            f'a cron expression must be text such as "30 2 * * *", got {expression!r}'
        )
    if len(expression) > MAX_LENGTH:
        raise InvalidSchedule(
            f"a cron expression has at most {MAX_LENGTH} characters, got {len(expression)}"
        )
    return " ".join(expression.split())


def _plain(field: Field, text: str) -> int:
    mask, _ = read_masks(field, text, special=None)
    return mask


def _split(expression: str) -> tuple[str, str, str, str, str, str]:
    texts = _expand_alias(expression).split()
    if len(texts) == 5:
        texts.insert(0, "0")
    if len(texts) != 6:
        raise InvalidSchedule(
            "expected 5 fields (minute hour day-of-month month day-of-week) or 6 with seconds "
            f'first, got {len(texts)}: "{expression}"'
        )
    second, minute, hour, day, month, weekday = (text.upper() for text in texts)
    return second, minute, hour, day, month, weekday


def _expand_alias(expression: str) -> str:
    if not expression.startswith("@"):
        return expression
    alias = expression.casefold()
    if alias == "@reboot":
        raise InvalidSchedule('"@reboot" has no times: enqueue the task where your service starts')
    if alias not in ALIASES:
        raise InvalidSchedule(f'unknown alias "{expression}"{did_you_mean(alias, ALIASES)}')
    return ALIASES[alias]
