"""What happens to an execution while somebody watches, and how workers put it on the wire (pure).

Whoever changes an execution publishes a word on its channel, `WireKeys.changes`. Nobody may rely
on one: pub/sub forgets, a late word arrives after a newer one, anybody with the password can
publish. So a word about a state says no more than "look at the ledger now"; only progress and
log lines are believed as they come: the one is worth nothing a second later, the others can be read
again (`Handle.logs`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from butler.storage.logs import LogLine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from butler.executions import ExecutionStatus

TOLD_CHARS = 1_000
TOLD_AT_ONCE = 50


class ChangeKind(StrEnum):
    """What a change is about. More kinds will come: skip those you do not know."""

    STATE = "state"
    PROGRESS = "progress"
    LOG = "log"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionChange:
    """One step in the life of an execution, as ``handle.events()`` yields it.

    ``percent`` (0..100) and ``message`` are the newest progress known of this attempt, for each
    kind. ``at`` is when this process learned of it, aware, in UTC. ``line`` is there when ``kind``
    is log: what the task has logged, cut to 1,000 characters.
    """

    kind: ChangeKind
    execution_id: str
    status: ExecutionStatus
    attempt: int
    percent: float | None
    message: str | None
    at: datetime
    line: LogLine | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What somebody published about an execution; ``over`` where it says that it has ended."""

    kind: ChangeKind
    over: bool = False
    attempt: int = 0
    percent: float = 0.0
    message: str | None = None
    lines: tuple[LogLine, ...] = ()


def state_word(*, over: bool) -> str:
    """That an execution's state has changed, and whether for good; as the scripts write it."""
    return f'{{"kind":"state","over":{"true" if over else "false"}}}'


def progress_word(percent: float, message: str | None, *, attempt: int) -> str:
    """That a running attempt has come this far."""
    return json.dumps(
        {"kind": "progress", "attempt": attempt, "percent": percent, "message": message}
    )


def log_words(lines: Sequence[LogLine]) -> Iterator[tuple[str, str]]:
    """What attempts have logged, as (execution id, word); lines of one attempt are together."""
    said: dict[tuple[str, int], list[LogLine]] = {}
    for line in lines:
        said.setdefault((line.execution_id, line.attempt), []).append(line)
    for (execution_id, attempt), of_attempt in said.items():
        for first in range(0, len(of_attempt), TOLD_AT_ONCE):
            told = [_told(line) for line in of_attempt[first : first + TOLD_AT_ONCE]]
            yield execution_id, json.dumps({"kind": "log", "attempt": attempt, "lines": told})


def read_word(raw: bytes | str, *, execution_id: str = "") -> Word | None:
    """What was published of an execution; None for what is of no known kind, or no word at all."""
    try:
        said = json.loads(raw)
        match said["kind"]:
            case "state":
                return Word(kind=ChangeKind.STATE, over=bool(said["over"]))
            case "progress":
                return Word(
                    kind=ChangeKind.PROGRESS,
                    attempt=int(said["attempt"]),
                    percent=float(said["percent"]),
                    message=None if said["message"] is None else str(said["message"]),
                )
            case "log":
                attempt = int(said["attempt"])
                lines = (_line(told, execution_id, attempt) for told in said["lines"])
                return Word(kind=ChangeKind.LOG, attempt=attempt, lines=tuple(lines))
    except (ValueError, TypeError, LookupError, OverflowError, OSError):
        return None
    return None


def _told(line: LogLine) -> list[Any]:
    message = line.message[:TOLD_CHARS]
    return [line.number, line.at.timestamp(), line.level, line.logger, message, line.cut]


def _line(told: Sequence[Any], execution_id: str, attempt: int) -> LogLine:
    number, at, level, logger, message, cut = told
    return LogLine(
        execution_id=execution_id,
        attempt=attempt,
        number=int(number),
        at=datetime.fromtimestamp(at, UTC),
        level=int(level),
        logger=str(logger),
        message=str(message),
        cut=bool(cut),
    )
