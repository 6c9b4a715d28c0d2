"""Limits and pauses in PostgreSQL; the law is kept by functions of migration 0009."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from butler.limiting import QUEUE_PREFIX, LimitRule
from butler.storage.limits import LimitRow, Prospect, with_rules_of_tasks
from butler.storage.postgres import literals, rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from butler.storage.limits import MadeKeys
    from butler.storage.postgres.connections import PostgresConnections


class PostgresLimits:
    """What makes a `PostgresStorage` a `LimitStorage`."""

    _connections: PostgresConnections

    def set_limit(self, name: str, rule: LimitRule | None) -> None:
        """Say what an operator allows for a name; None takes back what was said."""
        text = None if rule is None else json.dumps(rule.to_json())
        self._connections.run("limit_set", {"name": name, "rule": text})
        self._connections.run("limit_tidy")

    def pause_queue(self, queue: str, *, paused: bool) -> None:
        """From now on no attempt of this queue starts, or they may again."""
        params = {"name": QUEUE_PREFIX + queue, "paused": "t" if paused else "f"}
        self._connections.run("limit_pause", params)
        self._connections.run("limit_tidy")

    def note_limit_keys(self, made: Sequence[MadeKeys]) -> None:
        """Say under which names queued executions fall, where no producer could tell."""
        ordered = sorted(made, key=lambda each: each.execution_id)
        params = {
            "ids": literals.uuids(each.execution_id for each in ordered),
            "keys": literals.texts(json.dumps(each.keys.to_json()) for each in ordered),
            "fingerprints": literals.texts(each.fingerprint for each in ordered),
        }
        self._connections.run("limit_keys_note", params)

    def limits(self) -> list[LimitRow]:
        """Every name that has a rule, is paused, or under which something runs; by name."""
        found = [
            LimitRow(
                name=name,
                kind=kind,
                declared=None if declared is None else LimitRule.from_json(declared),
                given=None if given is None else LimitRule.from_json(given),
                rule=LimitRule.from_json(declared, given),
                paused_at=rows.maybe_utc(paused_at),
                running=running,
                tasks=tuple(tasks),
            )
            for name, kind, declared, given, paused_at, running, tasks in self._connections.run(
                "limits"
            )
        ]
        return with_rules_of_tasks(found)

    def prospects(self, ids: Sequence[str]) -> list[Prospect]:
        """What each limit says of those of these that are queued, the ones that block first."""
        found = self._connections.run("prospects", {"ids": literals.uuids(ids)})
        return [
            Prospect(
                execution_id=id_,
                limit=name,
                part=part,
                most=most,
                room=room,
                wait_s=float(wait_s or 0),
                held_by=tuple(held_by),
            )
            for id_, name, part, most, room, wait_s, held_by in found
        ]
