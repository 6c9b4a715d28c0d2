"""Where a client is: what the ids of events mean, which it sends back as ``Last-Event-ID``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from butler.executions import ExecutionStatus
from butler.web.problems import FieldError, Problem, invalid

if TYPE_CHECKING:
    from butler.changes import ExecutionChange
    from butler.executions import Execution

_NO_STATUS = "none"
_OF_EXECUTION = re.compile(
    rf"([0-9]{{1,9}})\.({'|'.join((*ExecutionStatus, _NO_STATUS))})\.([0-9]{{1,18}})"
)
# Milliseconds until the year 5138.
_OF_FEED = re.compile(r"([0-9]{1,14})\.([0-9a-f]{1,16})\.([0-9]{1,18})")


@dataclass(slots=True)
class ExecutionPlace:
    """How far somebody was told of an execution: a state, and the id of a line (0: of none)."""

    attempt: int = 0
    status: ExecutionStatus | None = None
    line: int = 0

    @classmethod
    def read(cls, text: str | None) -> Self:
        """The place that an event's id names; raises a `Problem` for what is none."""
        if not text:
            return cls()
        attempt, status, line = _parts(_OF_EXECUTION, text)
        known = None if status == _NO_STATUS else ExecutionStatus(status)
        return cls(int(attempt), known, int(line))

    @property
    def over(self) -> bool:
        """Whether the end was told, and with it every line."""
        return self.status is not None and self.status.finished

    def is_at(self, other: Execution | ExecutionChange) -> bool:
        """Whether this is how it stands."""
        return (self.attempt, self.status) == (other.attempt, other.status)

    def __str__(self) -> str:
        return f"{self.attempt}.{self.status or _NO_STATUS}.{self.line}"


@dataclass(frozen=True, slots=True)
class FeedPlace:
    """How far somebody was told of everything.

    ``at`` is a time of the ledger and means the same to every process; ``number``, of an event, is
    exact in the run of a feed that has this name.
    """

    at: datetime
    name: str
    number: int

    @classmethod
    def read(cls, text: str | None) -> Self | None:
        """The place that an event's id names, if any; raises a `Problem` for what is none."""
        if not text:
            return None
        milliseconds, name, number = _parts(_OF_FEED, text)
        return cls(datetime.fromtimestamp(int(milliseconds) / 1000, UTC), name, int(number))

    def __str__(self) -> str:
        return f"{int(self.at.timestamp() * 1000)}.{self.name}.{self.number}"


def _parts(form: re.Pattern[str], text: str) -> tuple[str, ...]:
    found = form.fullmatch(text)
    if found is None:
        raise _no_place()
    return found.groups()


def _no_place() -> Problem:
    loc = ["header", "Last-Event-ID"]
    return invalid([FieldError(loc=loc, msg="must be the id of an event of this stream")])
