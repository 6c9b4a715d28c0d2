"""A cron expression said in words (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from butler.schedules.cron_days import FULL_MONTH, FULL_WEEK, DayOfMonth, NthWeekday

if TYPE_CHECKING:
    from collections.abc import Sequence

    from butler.schedules.cron_days import DayRule
    from butler.schedules.cron_expression import CronFields

# Sunday is 0 in crontab and listed last, as 7
WEEKDAY_NAMES = (
    *("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
)
MONTH_NAMES = (
    *("", "January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_NTH = ("last", "first", "second", "third", "fourth", "fifth")
_MOST_TIMES = 6


def cron_in_words(fields: CronFields) -> str:
    """``at 02:30 every day``, ``every 15 minutes on Monday to Friday in May``."""
    hours, minutes, seconds = (_bits(m) for m in (fields.hours, fields.minutes, fields.seconds))
    if len(hours) * len(minutes) * len(seconds) <= _MOST_TIMES:
        words = [_clock_times(hours, minutes, seconds)]
        daily = "every day"
    else:
        words = [_rhythm(hours, minutes, seconds)]
        daily = ""
    words.append(_days_in_words(fields.days) or daily)
    if fields.months != (1 << 13) - 2:
        words.append("in " + _spans(_bits(fields.months), MONTH_NAMES))
    return " ".join(word for word in words if word)


def listed(items: Sequence[str], *, last: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def _bits(mask: int) -> list[int]:
    return [bit for bit in range(mask.bit_length()) if mask >> bit & 1]


def _spans(values: list[int], names: Sequence[str] = ()) -> str:
    """``1, 2 and 5 to 9``, ``1, 3, 5 … 31``: three or more in a row make a span."""
    step = values[1] - values[0] if len(values) > 4 else 1
    if step > 1 and values == list(range(values[0], values[-1] + 1, step)):
        first, second, third, last = (
            names[value] if names else str(value) for value in (*values[:3], values[-1])
        )
        return f"{first}, {second}, {third} … {last}"
    spans: list[list[int]] = []
    for value in values:
        if spans and spans[-1][-1] == value - 1:
            spans[-1].append(value)
        else:
            spans.append([value])
    items: list[str] = []
    for span in spans:
        said = [names[value] if names else str(value) for value in span]
        items += [f"{said[0]} to {said[-1]}"] if len(span) > 2 else said
    return listed(items)


def _clock_times(hours: list[int], minutes: list[int], seconds: list[int]) -> str:
    tail = "" if seconds == [0] else ":{second:02}"
    form = "{hour:02}:{minute:02}" + tail
    return "at " + listed(
        [
            form.format(hour=hour, minute=minute, second=second)
            for hour in hours
            for minute in minutes
            for second in seconds
        ]
    )


def _rhythm(hours: list[int], minutes: list[int], seconds: list[int]) -> str:
    words = []
    if seconds != [0]:
        words.append(_unit(seconds, 60, "second"))
    if len(minutes) < 60 or not words:
        words.append(_unit(minutes, 60, "minute"))
    if len(hours) < 24:
        words.append(f"in the {'hour' if len(hours) == 1 else 'hours'} {_spans(hours)}")
    elif minutes == [0] and seconds == [0]:
        return "every hour"
    elif len(minutes) < 60 and not _is_step(minutes, 60):
        words.append("of every hour")
    return " ".join(words)


def _unit(values: list[int], size: int, name: str) -> str:
    if len(values) == size:
        return f"every {name}"
    if _is_step(values, size):
        return f"every {values[1]} {name}s"
    return f"at {name if len(values) == 1 else name + 's'} {_spans(values)}"


def _is_step(values: list[int], size: int) -> bool:
    return len(values) > 1 and size % values[1] == 0 and values == list(range(0, size, values[1]))


def _days_in_words(rule: DayRule) -> str:
    days: list[str] = []
    if numbers := _bits(rule.days):
        days.append(f"day{'s' if len(numbers) > 1 else ''} {_spans(numbers)} of the month")
    days += [_day_special(special) for special in rule.day_specials]
    weekdays: list[str] = []
    if rule.weekdays:
        monday_first = rule.weekdays & ~1 | (rule.weekdays & 1) << 7
        weekdays.append(_spans(_bits(monday_first), WEEKDAY_NAMES))
    weekdays += [_weekday_special(special) for special in rule.weekday_specials]
    any_day, any_weekday = rule.days == FULL_MONTH, rule.weekdays == FULL_WEEK
    if any_day and any_weekday:
        return ""
    on_day, on_weekday = "on " + listed(days), "on " + listed(weekdays)
    if rule.either:
        return f"{on_day} or {on_weekday}"
    if any_day:
        return on_weekday
    return on_day if any_weekday else f"{on_day} if it is {listed(weekdays, last='or')}"


def _day_special(special: DayOfMonth) -> str:
    if special.day:
        return f"the weekday nearest day {special.day} of the month"
    if special.from_end:
        plural = "s" if special.from_end > 1 else ""
        day = f"the day {special.from_end} day{plural} before the last of the month"
        return f"the weekday nearest {day}" if special.nearest_weekday else day
    return f"the last {'weekday' if special.nearest_weekday else 'day'} of the month"


def _weekday_special(special: NthWeekday) -> str:
    return f"the {_NTH[special.nth]} {WEEKDAY_NAMES[special.weekday]} of the month"
