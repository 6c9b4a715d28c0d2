"""Limits and pauses in the memory ledger; the same decisions as migration 0009 makes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from butler.executions import ExecutionStatus
from butler.limiting import QUEUE_PREFIX, LimitKeys, LimitRule
from butler.storage.limits import (
    HOLDERS_SHOWN,
    LimitRow,
    Prospect,
    Wait,
    kind_of,
    with_rules_of_tasks,
)

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from butler.clock import Clock
    from butler.limiting import Rate
    from butler.storage.limits import LimitKind, LimitPart, MadeKeys, WaitPart
    from butler.storage.memory.rows import Row, RowTable
    from butler.storage.records import TaskDefinition

    Applied = tuple[str, WaitPart, LimitRule]


NO_KEYS = LimitKeys()


@dataclass(slots=True)
class _Limit:
    kind: LimitKind
    declared: LimitRule | None = None
    given: LimitRule | None = None
    paused_at: datetime | None = None
    # What code says of its keys: those that are plain texts, and whether it computes others.
    keys: LimitKeys = NO_KEYS

    @property
    def rule(self) -> LimitRule:
        return _merged(self.declared, self.given)


@dataclass(slots=True)
class LimitTable:
    """All rules, and up to when each name's rate has been used."""

    rows: RowTable
    known: dict[str, _Limit] = field(default_factory=dict[str, _Limit])
    used_until: dict[str, float] = field(default_factory=dict[str, float])

    def applied(self, row: Row) -> Iterator[Applied]:
        """The limits on one row, in the order they are asked."""
        queue = self.known.get(QUEUE_PREFIX + row.new.queue)
        task = self.known.get(row.new.task)
        if queue is not None and queue.paused_at is not None:
            yield QUEUE_PREFIX + row.new.queue, "paused", LimitRule()
        found: list[Applied] = []
        if task is not None and task.kind == "task":
            if task.keys.computed and not (row.new.limit_keys or NO_KEYS).computed:
                if not task.rule.says_nothing:
                    yield row.new.task, "keys", LimitRule()
            else:
                found += self._of_task(task, row)
        parts: tuple[LimitPart, ...] = ("concurrency", "rate")
        if queue is not None:
            found += [(QUEUE_PREFIX + row.new.queue, part, queue.rule) for part in parts]
        for name, part, rule in sorted(found, key=lambda each: (each[1], each[0])):
            if (rule.max_concurrency if part == "concurrency" else rule.rate) is not None:
                yield name, part, rule

    def _of_task(self, task: _Limit, row: Row) -> Iterator[Applied]:
        keys = row.new.limit_keys or NO_KEYS
        names: dict[LimitPart, str | None] = {
            "concurrency": keys.concurrency or task.keys.concurrency,
            "rate": keys.rate or task.keys.rate,
        }
        for part, key in names.items():
            own = self.known.get(key) if key is not None else None
            given = own.given if own is not None and own.kind == "key" else None
            yield key or row.new.task, part, _merged(task.rule, given)

    def holders(self, name: str) -> list[str]:
        """Running rows under a name that counts them."""
        return sorted(
            row.id
            for row in self.rows.in_status(ExecutionStatus.RUNNING)
            if any(known == name and part == "concurrency" for known, part, _ in self.applied(row))
        )

    def admit(self, row: Row, *, now: float) -> Wait | None:
        """Take what the limits on a row ask for, or say which one keeps it."""
        spent = {}
        for name, part, rule in self.applied(row):
            if part in ("paused", "keys"):
                return Wait(limit=name, part=part)
            if rule.rate is not None and part == "rate":
                wait_s = self._wait_s(name, rule.rate, now=now)
                if wait_s > 0:
                    return Wait(limit=name, part=part, wait_s=wait_s)
                spent[name] = max(self.used_until.get(name, 0.0), now) + rule.rate.interval_s
            elif len(self.holders(name)) >= (rule.max_concurrency or 0):
                return Wait(limit=name, part=part)
        self.used_until |= spent
        return None

    def slots(self, row: Row) -> tuple[str, ...]:
        """The names of which a running row holds a slot."""
        return tuple(name for name, part, _ in self.applied(row) if part == "concurrency")

    def prospects(self, row: Row, *, now: float) -> Iterator[Prospect]:
        """What each limit says of a row now."""
        for name, part, rule in self.applied(row):
            if part == "keys":
                continue
            held_by = self.holders(name) if part == "concurrency" else []
            room, wait_s = 0, 0.0
            if part == "concurrency":
                room = max((rule.max_concurrency or 0) - len(held_by), 0)
            elif part == "rate" and rule.rate is not None:
                ahead_s = max(self.used_until.get(name, 0.0) - now, 0.0)
                interval_s = rule.rate.interval_s
                room = int(max(rule.rate.burst * interval_s - ahead_s, 0) / interval_s + 1e-6)
                wait_s = self._wait_s(name, rule.rate, now=now)
            yield Prospect(
                execution_id=row.id,
                limit=name,
                part=part,
                room=room,
                wait_s=wait_s,
                most=rule.max_concurrency,
                held_by=tuple(held_by[:HOLDERS_SHOWN]),
            )

    def tidy(self, name: str) -> None:
        """Forget a rule that says nothing."""
        known = self.known.get(name)
        if known and known.declared is None and known.given is None and known.paused_at is None:
            del self.known[name]

    def forget(self, *, before: float, limit: int) -> int:
        """Forget up to when rates were used, where that is over and nothing runs; how many."""
        over = [name for name, until in self.used_until.items() if until < before]
        stale = [name for name in over if not self.holders(name)][:limit]
        for name in stale:
            del self.used_until[name]
        return len(stale)

    def _wait_s(self, name: str, rate: Rate, *, now: float) -> float:
        free_at = max(self.used_until.get(name, 0.0), now)
        wait_s = free_at - (rate.burst - 1) * rate.interval_s - now
        return wait_s if wait_s > 1e-6 else 0.0


class MemoryLimits:
    """What makes a `MemoryStorage` a `LimitStorage`; everything happens under its lock."""

    _clock: Clock
    _lock: threading.Lock
    _rows: RowTable
    _tasks: dict[str, TaskDefinition]
    _limits: LimitTable

    def set_limit(self, name: str, rule: LimitRule | None) -> None:
        """Say what an operator allows for a name; None takes back what was said."""
        with self._lock:
            kind = "task" if name in self._tasks else kind_of(name)
            self._limits.known.setdefault(name, _Limit(kind)).given = rule
            self._limits.tidy(name)

    def pause_queue(self, queue: str, *, paused: bool) -> None:
        """From now on no attempt of this queue starts, or they may again."""
        with self._lock:
            known = self._limits.known.setdefault(QUEUE_PREFIX + queue, _Limit("queue"))
            known.paused_at = (known.paused_at or self._clock.now()) if paused else None
            self._limits.tidy(QUEUE_PREFIX + queue)

    def note_limit_keys(self, made: Sequence[MadeKeys]) -> None:
        """Say under which names queued executions fall, where no producer could tell."""
        with self._lock:
            for each in made:
                row = self._rows.get(each.execution_id)
                if row is None or row.status is not ExecutionStatus.QUEUED:
                    continue
                known = row.new.limit_keys or NO_KEYS
                schemas = {each.fingerprint, row.new.fingerprint} - {None}
                if not known.computed and len(schemas) < 2:
                    row.new = replace(row.new, limit_keys=_joined(known, each.keys))

    def limits(self) -> list[LimitRow]:
        """Every name that has a rule, is paused, or under which something runs; by name."""
        with self._lock:
            running = self._rows.in_status(ExecutionStatus.RUNNING)
            held = {name for row in running for name in self._limits.slots(row)}
            rows = [self._limit_row(name) for name in sorted({*self._limits.known, *held})]
            return with_rules_of_tasks(rows)

    def prospects(self, ids: Sequence[str]) -> list[Prospect]:
        """What each limit says of those of these that are queued, the ones that block first."""
        with self._lock:
            now = self._clock.now().timestamp()
            found = [self._rows.get(id_) for id_ in ids]
            return [
                prospect
                for row in found
                if row is not None and row.status is ExecutionStatus.QUEUED
                for prospect in self._limits.prospects(row, now=now)
            ]

    def _declare(self, definitions: Sequence[TaskDefinition]) -> None:
        for definition in definitions:
            said = definition.options.get("limit")
            if said is not None or definition.name in self._limits.known:
                known = self._limits.known.setdefault(definition.name, _Limit("task"))
                known.kind = "task"
                known.declared = None if said is None else LimitRule.from_json(said)
                known.keys = _keys_said(said or {})
                self._limits.tidy(definition.name)

    def _limit_row(self, name: str) -> LimitRow:
        known = self._limits.known.get(name, _Limit(kind_of(name)))
        holders = self._limits.holders(name)
        found = (self._rows.get(id_) for id_ in holders)
        return LimitRow(
            name=name,
            kind=known.kind,
            declared=known.declared,
            given=known.given,
            rule=known.rule,
            paused_at=known.paused_at,
            running=len(holders),
            tasks=tuple(sorted({row.new.task for row in found if row is not None})),
        )


def _merged(*rules: LimitRule | None) -> LimitRule:
    return LimitRule.from_json(*(None if rule is None else rule.to_json() for rule in rules))


def _keys_said(said: Mapping[str, Any]) -> LimitKeys:
    return LimitKeys(**said.get("keys", {}), computed=bool(said.get("computed")))


def _joined(known: LimitKeys, made: LimitKeys) -> LimitKeys:
    return replace(
        known,
        concurrency=known.concurrency or made.concurrency,
        rate=known.rate or made.rate,
        fair=known.fair or made.fair,
        computed=made.computed,
    )
