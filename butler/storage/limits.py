"""The part of `Storage` that holds limits, slots and pauses; `butler.limiting` says what they are.

The law: at no instant more live attempts hold a name's slots than its rule allows. `Storage.claim`
keeps it; what it refuses comes back as a `Refused` with a `Wait`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

from butler.durations import seconds_text
from butler.limiting import QUEUE_PREFIX, LimitRule

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from butler.limiting import LimitKeys

LimitPart = Literal["paused", "concurrency", "rate"]
# A claim is also refused where only code can tell under which names an execution falls.
WaitPart = Literal["paused", "concurrency", "rate", "keys"]
LimitKind = Literal["task", "key", "queue"]
HOLDERS_SHOWN = 10
HOLDERS_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """What keeps a queued execution from starting, and for how long at least (rates know that)."""

    limit: str
    part: WaitPart
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """What a limit says of a queued execution now: ``room`` more may start under it.

    ``held_by`` are executions that hold its slots, at most ten.
    """

    execution_id: str
    limit: str
    part: LimitPart
    room: int
    wait_s: float
    most: int | None = None
    held_by: tuple[str, ...] = ()

    def __str__(self) -> str:
        match self.part:
            case "paused":
                return f"queue {self.limit.removeprefix(QUEUE_PREFIX)}, which is paused"
            case "rate":
                return f"rate of {self.limit}, for {seconds_text(self.wait_s)} at least"
            case "concurrency":
                more = ["others"] * (len(self.held_by) > HOLDERS_NAMED)
                holders = ", ".join([*self.held_by[:HOLDERS_NAMED], *more])
                return f"limit {self.limit}, held by {holders or 'nobody'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeKeys:
    """The names that code has made of one execution's request.

    With a ``fingerprint`` they count only if it was enqueued under that schema, or nobody knows.
    """

    execution_id: str
    keys: LimitKeys
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRow:
    """One name: what code declared, what an operator gave, and how many run under it.

    ``tasks`` are those whose attempts hold its slots. Of a key, ``rule`` is what an operator gave;
    without that the least that these tasks allow at once, for each holds it to its own.
    """

    name: str
    kind: LimitKind
    declared: LimitRule | None
    given: LimitRule | None
    rule: LimitRule
    paused_at: datetime | None
    running: int
    tasks: tuple[str, ...] = ()


def with_rules_of_tasks(rows: Sequence[LimitRow]) -> list[LimitRow]:
    """All rows of a ledger, those of keys with what holds for them."""
    tasks = {row.name: row.rule.max_concurrency for row in rows if row.kind == "task"}
    return [
        replace(row, rule=LimitRule(max_concurrency=least))
        if row.kind == "key"
        and row.given is None
        and (least := min(filter(None, map(tasks.get, row.tasks)), default=None)) is not None
        else row
        for row in rows
    ]


def kind_of(name: str) -> LimitKind:
    """Of a name that has no rule and is no task's."""
    return "queue" if name.startswith(QUEUE_PREFIX) else "key"


class LimitStorage(Protocol):
    """Limits and pauses."""

    def set_limit(self, name: str, rule: LimitRule | None) -> None:
        """Say what an operator allows for a name; None takes back what was said."""
        ...

    def pause_queue(self, queue: str, *, paused: bool) -> None:
        """From now on no attempt of this queue starts, or they may again."""
        ...

    def note_limit_keys(self, made: Sequence[MadeKeys]) -> None:
        """Say under which names queued executions fall, where no producer could tell.

        What a producer has named stays.
        """
        ...

    def limits(self) -> list[LimitRow]:
        """Every name that has a rule, is paused, or under which something runs; by name."""
        ...

    def prospects(self, ids: Sequence[str]) -> list[Prospect]:
        """What each limit says of those of these that are queued, the ones that block first."""
        ...
