"""One field of a cron expression: lists, ranges, steps and names (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from butler.errors import InvalidSchedule

if TYPE_CHECKING:
    from collections.abc import Callable

Special = TypeVar("Special")

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """What one field is called and allows."""

    name: str
    low: int
    high: int
    expected: str
    names: dict[str, int] = field(default_factory=dict)
    question_mark: bool = False

    def error(self, text: str, item: str, expected: str | None = None) -> InvalidSchedule:
        """``hour field "25": expected 0-23``, with the item when the field is a list."""
        place = f'{self.name} field "{text}"'
        if item != text:
            place += f', item {text.split(",").index(item) + 1} ("{item}")'
        return InvalidSchedule(f"{place}: expected {expected or self.expected}")


SECOND = Field(name="second", low=0, high=59, expected="0-59")
MINUTE = Field(name="minute", low=0, high=59, expected="0-59")
HOUR = Field(name="hour", low=0, high=23, expected="0-23")
DAY = Field(
    name="day-of-month",
    low=1,
    high=31,
    expected="1-31, L, L-n (1-30), LW or nW",
    question_mark=True,
)
MONTH = Field(
    name="month",
    low=1,
    high=12,
    expected="1-12 or JAN-DEC",
    names={name: number for number, name in enumerate(MONTHS, start=1)},
)
WEEKDAY = Field(
    name="day-of-week",
    low=0,
    high=6,  # 7 is read as 0 before anything compares it
    expected="0-7 or SUN-SAT, nL (the last) or n#1 to n#5",
    names={name: number for number, name in enumerate(WEEKDAYS)},
    question_mark=True,
)


def read_masks(
    field: Field, text: str, *, special: Callable[[str], Special | None] | None
) -> tuple[int, tuple[Special, ...]]:
    """The plain values as bits, and what ``special`` made of the other items.

    ``special`` is asked first for each item of the list and returns ``None`` for a plain one.
    """
    mask = 0
    specials: list[Special] = []
    for item in text.split(","):
        found = special(item) if special else None
        if found is None:
            mask |= _plain_item(field, text, item)
        else:
            specials.append(found)
    return mask, tuple(specials)


def read_value(field: Field, word: str) -> int | None:
    """A number or a name of the field; ``None`` when it is neither or out of range."""
    if word in field.names:
        return field.names[word]
    if not (word.isascii() and word.isdigit()) or len(word) > 3:
        return None
    value = int(word)
    if field is WEEKDAY and value == 7:
        return 0
    return value if field.low <= value <= field.high else None


def _plain_item(field: Field, text: str, item: str) -> int:
    base, slash, step_text = item.partition("/")
    step = _step(field, text, item, step_text) if slash else 1
    if base == "*":
        return _bits(field, field.low, field.high, step)
    if base == "?" and field.question_mark and not slash:
        return _bits(field, field.low, field.high, 1)
    first, dash, last = base.partition("-")
    start = read_value(field, first)
    end = read_value(field, last) if dash else start
    if start is None or end is None:
        raise field.error(text, item)
    if slash and not dash:
        end = field.high
    if field is WEEKDAY and dash and last == "7" and start == 0:
        end = start if first == "7" else field.high  # 0-7 is the whole week, 7-7 one Sunday
    return _bits(field, start, end, step)


def _step(field: Field, text: str, item: str, step_text: str) -> int:
    largest = field.high - field.low + (0 if field.low == 0 else 1)
    if not (step_text.isascii() and step_text.isdigit()) or len(step_text) > 3:
        raise field.error(text, item, f"a step of 1-{largest} after the slash")
    step = int(step_text)
    if not 1 <= step <= largest:
        hint = "; for a longer rhythm use Interval" if step else ""
        raise field.error(text, item, f"a step of 1-{largest} after the slash{hint}")
    return step


def _bits(field: Field, start: int, end: int, step: int) -> int:
    """Every ``step``-th value from start to end; past the field's end when the range wraps."""
    size = field.high - field.low + 1
    if end < start:
        end += size
    mask = 0
    for value in range(start, end + 1, step):
        mask |= 1 << (field.low + (value - field.low) % size)
    return mask
