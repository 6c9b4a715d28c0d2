"""The part of `Storage` that keeps what tasks have logged.

A line is numbered by the attempt that logged it, so its id is known before it is written: a repeat
after a lost reply finds the line there, a reader's cursor never passes a line that comes later, and
the lines of an old attempt are a range. Rejected: ids the ledger gives out, where a repeated batch
would stand there twice.

Bounded twice: an attempt sends at most a thousand lines, and the ledger keeps the lines of the
newest `KEPT_ATTEMPTS` attempts of an execution, because one that asks to run again has no last one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from butler.errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

KEPT_ATTEMPTS = 20
MAX_LINE_CHARS = 10_000
MAX_LOGGER_CHARS = 200
MAX_LEVEL = 32_767
MAX_PAGE = 10_000

_NUMBERS_AN_ATTEMPT = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """Something a task has logged.

    ``number`` counts from 1 in each attempt. ``level`` is logging's: 10 debug, 20 info, 30 warning,
    40 error. ``cut`` marks the last line of an attempt that logged more than is kept; its message
    says how much more, and grows while the attempt runs.
    """

    execution_id: str
    attempt: int
    number: int
    at: datetime
    level: int
    logger: str
    message: str
    cut: bool = False

    @property
    def id(self) -> int:
        """Grows from line to line of one execution; what ``after`` takes."""
        return first_id(self.attempt) + self.number


class LogStorage(Protocol):
    """What tasks have logged, by execution; it goes when its execution is deleted."""

    def write_logs(self, lines: Sequence[LogLine]) -> None:
        """Keep lines; those of executions that do not exist are dropped.

        Not fenced: what an attempt that was given up has logged is worth reading too. Safe to
        repeat: a line that is there is replaced. Text is cleaned and cut, never refused. A crash of
        the ledger may lose the last moment.
        """
        ...

    def logs(self, execution_id: str, *, after: int | None, limit: int) -> list[LogLine]:
        """The lines with ids greater than ``after``, oldest first, at most ``limit`` (1..10,000).

        Raises `InvalidOption` for another limit.
        """
        ...


def first_id(attempt: int) -> int:
    """Less than the id of any line of this attempt, greater than that of any before."""
    return attempt * _NUMBERS_AN_ATTEMPT


def check_page(limit: int) -> None:
    """Raise `InvalidOption` for a limit that `LogStorage.logs` does not take."""
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidOption(f"limit must be in 1..{MAX_PAGE}, got {limit!r}")
