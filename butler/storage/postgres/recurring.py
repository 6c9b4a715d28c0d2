"""Recurring jobs in PostgreSQL: their definitions, and what the scheduler reads and fires.

``recurring_due`` keeps a floor, like ``stage`` (see `butler.storage.postgres.leader`): each fire
leaves a dead entry at the low end of the due index, which would all be read again and again while
a transaction stays open.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from butler.errors import InvalidOption
from butler.ids import new_token
from butler.limiting import fair_key_of
from butler.recurring.job import RecurringPage
from butler.storage.base import MAX_BATCH
from butler.storage.postgres import literals, recurring_rows, rows
from butler.storage.postgres.batches import run_in_halves
from butler.storage.records import QueueEntry
from butler.storage.recurring_records import DueJobs, RecurringPulse, StepReply
from butler.storage.values import check_recurring, text_refusal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from butler.recurring.job import RecurringFire, RecurringJob, RecurringStatistics
    from butler.storage.postgres.connections import PostgresConnections
    from butler.storage.postgres.operators import PostgresOperators
    from butler.storage.records import Moved
    from butler.storage.recurring_records import (
        FireQuery,
        RecurringChange,
        RecurringDefinition,
        RecurringQuery,
        RecurringStep,
    )

MAX_PAGE = 1_000
_WHOLE_LOOK_EVERY_S = 1.0
_FIRES_A_DELETE = 5_000


class PostgresRecurring:
    """What makes a `PostgresStorage` a `RecurringStorage`."""

    _connections: PostgresConnections
    _operators: PostgresOperators
    _due_floor: datetime | None = None
    _whole_look_at = float("-inf")

    def now(self) -> datetime:
        """The server's clock."""
        return rows.in_utc(self._connections.run("now")[0][0])

    def insert_recurring(self, jobs: Sequence[RecurringDefinition]) -> list[bool]:
        """Add jobs whose names are free."""
        _check_batch(jobs)
        for definition in jobs:
            check_recurring(definition)
        if not jobs:
            return []
        forms = json.dumps([recurring_rows.definition_form(definition) for definition in jobs])
        self._connections.run("recurring_insert", {"jobs": forms})
        ids = literals.uuids([definition.id for definition in jobs])
        there = {id_ for (id_,) in self._connections.run("recurring_known", {"ids": ids})}
        return [definition.id in there for definition in jobs]

    def get_recurring(
        self, *, ids: Sequence[str] = (), names: Sequence[str] = ()
    ) -> list[RecurringJob]:
        """Those that exist, by name."""
        known = [name for name in names if text_refusal(name) is None]
        params = {"ids": literals.uuids(ids), "names": literals.texts(known)}
        return [recurring_rows.job(row) for row in self._connections.run("recurring_get", params)]

    def find_recurring(self, query: RecurringQuery) -> RecurringPage:
        """A page of jobs, by name; the cursor is the last name of the page before."""
        if not 1 <= query.limit <= MAX_PAGE:
            raise InvalidOption(f"limit must be in 1..{MAX_PAGE}, got {query.limit}")
        words = (query.task, query.queue, query.tag, query.owner, query.source, query.text)
        if any(text_refusal(word) is not None for word in (*words, query.after)):
            return RecurringPage(jobs=(), next_cursor=None)
        found = self._connections.run("recurring_find", _filters(query))
        shown = [recurring_rows.job(row) for row in found[: query.limit]]
        more = len(found) > query.limit
        return RecurringPage(jobs=tuple(shown), next_cursor=shown[-1].name if more else None)

    def change_recurring(self, changes: Sequence[RecurringChange]) -> list[bool]:
        """Replace definitions that still have their version."""
        _check_batch(changes)
        for change in changes:
            check_recurring(change.definition)
        if not changes:
            return []
        change_id = new_token()
        forms = [
            recurring_rows.definition_form(change.definition)
            | {
                "was": change.version,
                "change_id": change_id,
                "keep_request": change.definition.keep_request,
            }
            for change in sorted(changes, key=lambda change: change.definition.id)
        ]
        done = self._connections.run("recurring_change", {"changes": json.dumps(forms)})
        ids = [change.definition.id for change in changes]
        if len(done) < len(changes):
            params = {"change_id": change_id, "ids": literals.uuids(ids)}
            done = self._connections.run("recurring_changed", params)
        changed = {id_ for (id_,) in done}
        return [id_ in changed for id_ in ids]

    def delete_recurring(self, ids: Sequence[str]) -> list[bool]:
        """Remove jobs, then the record of their fires, some at a time."""
        _check_batch(ids)
        params: dict[str, Any] = {"ids": literals.uuids(sorted(ids))}
        gone = {id_ for (id_,) in self._connections.run("recurring_delete", params)}
        params["limit"] = str(_FIRES_A_DELETE)
        while len(self._connections.run("recurring_delete_fires", params)) == _FIRES_A_DELETE:
            pass
        return [id_ in gone for id_ in ids]

    def recurring_fires(self, query: FireQuery) -> list[RecurringFire]:
        """The recorded fires of a job, newest first."""
        if not 1 <= query.limit <= MAX_PAGE:
            raise InvalidOption(f"limit must be in 1..{MAX_PAGE}, got {query.limit}")
        if not literals.is_uuid(query.job_id):
            return []
        params = {
            "job_id": query.job_id,
            "outcomes": literals.texts(sorted(query.outcomes)) if query.outcomes else None,
            "before": None if query.before is None else query.before.isoformat(),
            "limit": str(query.limit),
        }
        found = self._connections.run("recurring_fires", params)
        return [recurring_rows.fire(row) for row in found]

    def recurring_statistics(self, job_id: str) -> RecurringStatistics:
        """What became of the newest fires of a job."""
        if not literals.is_uuid(job_id):
            return recurring_rows.statistics(())
        found = self._connections.run("recurring_statistics", {"job_id": job_id})
        return recurring_rows.statistics(found)

    def fire_recurring(
        self, steps: Sequence[RecurringStep], *, epoch: int | None = None
    ) -> list[StepReply]:
        """Do steps; one that the ledger cannot store is cut out of its batch."""
        _check_batch(steps)

        def run(some: Sequence[RecurringStep]) -> list[StepReply]:
            return self._fire(some, epoch=epoch)

        def alone(step: RecurringStep, reason: str) -> StepReply:
            return StepReply(job_id=step.job_id, applied=False, refused=reason)

        ordered = sorted(steps, key=lambda step: step.job_id)
        replies = {r.job_id: r for r in run_in_halves(ordered, run=run, alone=alone)}
        return [replies[step.job_id] for step in steps]

    def recurring_pulse(self) -> RecurringPulse:
        """When the next job is due, by one look at the due index."""
        now_s = time.monotonic()
        floor = self._floor_at(now_s)
        params = {"floor": None if floor is None else floor.isoformat()}
        ((now, due_in_s, waiting),) = self._connections.run("recurring_pulse", params)
        if due_in_s is None or due_in_s > 0:
            self._due_floor = now
            if floor is None:
                self._whole_look_at = now_s
        return RecurringPulse(now=rows.in_utc(now), due_in_s=due_in_s, waiting=waiting)

    def due_recurring(
        self, *, limit: int, ahead_s: float = 0.0, after: tuple[datetime, str] | None = None
    ) -> DueJobs:
        """Jobs that are due or soon will be, longest due first."""
        floor = self._floor_at(time.monotonic())
        params = {
            "floor": None if floor is None else floor.isoformat(),
            "ahead_s": repr(ahead_s),
            "after_at": None if after is None else after[0].isoformat(),
            "after_id": None if after is None else after[1],
            "limit": str(limit),
        }
        return self._due("recurring_due", params)

    def waiting_recurring(self, *, limit: int) -> DueJobs:
        """Enabled jobs that have waiting fires."""
        return self._due("recurring_waiting", {"limit": str(limit)})

    def cancel_overlapped(self, ids: Sequence[str], *, epoch: int) -> list[Moved]:
        """End or ask to end what a newer fire replaces, if the caller leads."""
        _check_batch(ids)
        return self._operators.cancel(ids, epoch=epoch)

    def _due(self, statement: str, params: dict[str, Any]) -> DueJobs:
        found = self._connections.run(statement, params)
        if not found:
            return DueJobs(now=self.now(), jobs=())
        now = rows.in_utc(found[0][recurring_rows.JOB_COLUMNS])
        return DueJobs(now=now, jobs=tuple(recurring_rows.due_job(row) for row in found))

    def _fire(self, steps: Sequence[RecurringStep], *, epoch: int | None) -> list[StepReply]:
        params = {
            "epoch": None if epoch is None else str(epoch),
            "steps": recurring_rows.steps_text(steps),
        }
        told: dict[str, set[str]] = {"step": set(), "written": set(), "held": set()}
        for kind, id_ in self._connections.run("recurring_fire", params):
            told[kind].add(id_)
        done, written = told["step"], told["written"]
        missing = [
            new.id for step in steps if step.job_id not in done for _, new in step.executions()
        ]
        if missing:  # an earlier try whose reply was lost may have made them
            known = self._connections.run("insert_known", {"ids": literals.uuids(missing)})
            written |= {id_ for id_, _ in known}
        return [_reply(step, done=done, written=written, held=told["held"]) for step in steps]

    def _floor_at(self, now_s: float) -> datetime | None:
        fresh = now_s - self._whole_look_at < _WHOLE_LOOK_EVERY_S
        return self._due_floor if fresh else None


def _reply(step: RecurringStep, *, done: set[str], written: set[str], held: set[str]) -> StepReply:
    entries = tuple(
        QueueEntry(
            id=new.id,
            task=new.task,
            queue=new.queue,
            priority=new.priority,
            attempt=0,
            timeout_s=new.timeout_s,
            created_at=row.fire_at,
            fair_key=fair_key_of(new.limit_keys),
        )
        for row, new in step.executions()
        if new.id in written
    )
    return StepReply(
        job_id=step.job_id,
        applied=step.job_id in done or bool(entries),
        entries=entries,
        held=tuple(new.id for _, new in step.executions() if new.id in held),
    )


def _filters(query: RecurringQuery) -> dict[str, Any]:
    return {
        "statuses": literals.texts(sorted(query.status)) if query.status else None,
        "task": query.task,
        "queue": query.queue,
        "tag": query.tag,
        "owner": query.owner,
        "source": query.source,
        "text": None if query.text is None else f"%{literals.without_wildcards(query.text)}%",
        "after": query.after,
        "limit": str(query.limit + 1),
    }


def _check_batch(items: Sequence[object]) -> None:
    if len(items) > MAX_BATCH:
        raise InvalidOption(f"a batch holds at most {MAX_BATCH} items, got {len(items)}")
