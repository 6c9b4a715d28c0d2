"""What happens to an execution while somebody watches, and how workers put it on the wire (pure).

Whoever changes an execution publishes a word on its channel, `WireKeys.changes`. Nobody may rely
on one: pub/sub forgets, a late word arrives after a newer one, anybody with the password can
publish. So a word about a state says no more than "look at the ledger now"; only progress is
believed as it comes, because it is worth nothing a second later.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from butler.executions import ExecutionStatus


class ChangeKind(StrEnum):
    """What a change is about. More kinds will come: skip those you do not know."""

    STATE = "state"
    PROGRESS = "progress"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionChange:
    """One step in the life of an execution, as ``handle.events()`` yields it.

    ``percent`` (0..100) and ``message`` are the newest progress known of this attempt, for either
    kind. ``at`` is when this process learned of it, aware, in UTC.
    """

    kind: ChangeKind
    execution_id: str
    status: ExecutionStatus
    attempt: int
    percent: float | None
    message: str | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What somebody published about an execution; ``over`` where it says that it has ended."""

    kind: ChangeKind
    over: bool = False
    attempt: int = 0
    percent: float = 0.0
    message: str | None = None


def state_word(*, over: bool) -> str:
    """That an execution's state has changed, and whether for good; as the scripts write it."""
    return f'{{"kind":"state","over":{"true" if over else "false"}}}'


def progress_word(percent: float, message: str | None, *, attempt: int) -> str:
    """That a running attempt has come this far."""
    return json.dumps(
        {"kind": "progress", "attempt": attempt, "percent": percent, "message": message}
    )


def read_word(raw: bytes | str) -> Word | None:
    """What was published; None for what is of no known kind, or no word at all."""
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
    except (ValueError, TypeError, LookupError):
        return None
    return None
