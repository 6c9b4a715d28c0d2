"""Firing: due jobs are read, decided one by one, and written and pushed in batches.

What decides is pure (`butler.recurring.decide`); what is written is one statement for a batch,
which does nothing for a job that changed since it was read. So anybody may die anywhere in between:
what was not written is due again, what was written and not pushed is found by the reconciler.

A job that cannot fire (its task is gone, its request does not fit it any more, its schedule cannot
be read) is broken, with the reason, and costs the others nothing; it is tried again at its next
fire time. The request is not read for it: it was checked against the task's schema of a
fingerprint, and only when workers announce another one is it read and checked again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from butler.clock import SYSTEM_CLOCK
from butler.enqueueing import plan_of_definition
from butler.errors import InvalidOption, InvalidRequest, InvalidSchedule, UnknownTask
from butler.executions import ExecutionStatus
from butler.known_tasks import KnownTasks
from butler.log import log_event
from butler.recurring import decide
from butler.recurring.decide import Decision
from butler.recurring.definitions import execution_of
from butler.recurring.job import FireOutcome, Overlap
from butler.storage.base import MAX_BATCH
from butler.storage.recurring_records import FireRow, RecurringStep

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from butler.clock import Clock
    from butler.pushing import Pusher
    from butler.recurring.decide import Fire
    from butler.recurring.job import RecurringJob
    from butler.storage.base import Storage
    from butler.storage.recurring_records import DueJob, StepReply

logger = logging.getLogger(__name__)

# A schedule that cannot be read has no next fire time at which to try again.
UNREADABLE_AGAIN_S = 60.0
_NO_LIMIT = 2**40  # what is stored was small enough when it was saved


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A step to be written, and the executions that it replaces."""

    job: RecurringJob
    step: RecurringStep
    cancel: tuple[str, ...] = ()


class Firer:
    """Fires recurring jobs of one ledger for whoever leads.

    ``epoch`` arguments tell in which epoch the caller may act at this moment, None when it may not.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        pusher: Pusher,
        batch: int = MAX_BATCH,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._storage = storage
        self._pusher = pusher
        self._batch = batch
        self._known = KnownTasks(storage.task_definitions, clock=clock)

    def fire_due(self, epoch: Callable[[], int | None]) -> int:
        """Fire all jobs that are due now; how many executions that made."""
        made = 0
        while epoch() is not None:
            due = self._storage.due_recurring(limit=self._batch)
            requests = self._requests(due.jobs)
            planned = [self._plan(job, now=due.now, requests=requests) for job in due.jobs]
            made += self._act(planned, epoch)
            if len(due.jobs) < self._batch:
                break
        return made

    def release_waiting(self, epoch: Callable[[], int | None]) -> int:
        """Start waiting fires whose turn has come; how many executions that made."""
        held = self._storage.waiting_recurring(limit=self._batch)
        planned = []
        for due in held.jobs:
            fires = decide.release(due.job, unfinished=due.unfinished, waiting=due.waiting)
            if fires:
                step = RecurringStep(
                    job_id=due.job.id,
                    version=due.job.version,
                    fires=self._released(due.job, fires),
                    finished=due.finished,
                )
                planned.append(Planned(job=due.job, step=step))
        return self._act(planned, epoch)

    def _plan(self, due: DueJob, *, now: datetime, requests: dict[str, object]) -> Planned:
        job = due.job
        try:
            decision = decide.decide(
                job, now=now, unfinished=due.unfinished, waiting=len(due.waiting)
            )
        except Exception as error:  # noqa: BLE001 - whatever one schedule does, others fire
            kind = "" if isinstance(error, InvalidSchedule) else f"{type(error).__name__}: "
            reason = f"its schedule cannot be read: {kind}{error}"
            unread = Decision(fires=(), next_fire_at=job.next_fire_at)
            again_at = now + timedelta(seconds=UNREADABLE_AGAIN_S)
            return Planned(job=job, step=_step(due, unread, (), due_at=again_at, reason=reason))
        try:
            fingerprint = self._check_request(job, requests) if decision.fires else None
            rows = tuple(self._row(job, fire) for fire in decision.fires)
        except (UnknownTask, InvalidRequest, InvalidOption) as error:
            decision = decide.broken(decision, str(error))
            rows = tuple(_row_of(fire) for fire in decision.fires)
            return Planned(job=job, step=_step(due, decision, rows, reason=str(error)))
        step = _step(due, decision, rows, fingerprint=fingerprint)
        return Planned(job=job, step=step, cancel=decision.cancel)

    def _released(self, job: RecurringJob, fires: Sequence[Fire]) -> tuple[FireRow, ...]:
        try:
            return tuple(self._row(job, fire) for fire in fires)
        except (UnknownTask, InvalidOption) as error:
            reason = str(error)
            return tuple(
                FireRow(fire_at=fire.fire_at, outcome=FireOutcome.BROKEN, reason=reason)
                for fire in fires
            )

    def _row(self, job: RecurringJob, fire: Fire) -> FireRow:
        if fire.outcome is not FireOutcome.FIRED:
            return _row_of(fire)
        plan = plan_of_definition(self._known.get(job.task))
        new = execution_of(job, plan, unique_key=job.unique_key)
        return FireRow(fire_at=fire.fire_at, outcome=fire.outcome, execution=new)

    def _requests(self, due: Sequence[DueJob]) -> dict[str, object]:
        """The requests that have to be checked anew, by job."""
        stale = [job.job.id for job in due if self._is_stale(job.job)]
        found = self._storage.get_recurring(ids=stale) if stale else []
        return {job.id: job.request for job in found}

    def _is_stale(self, job: RecurringJob) -> bool:
        try:
            return self._known.get(job.task).fingerprint != job.fingerprint
        except UnknownTask:
            return False

    def _check_request(self, job: RecurringJob, requests: dict[str, object]) -> str | None:
        """The fingerprint under which the request has just been found valid, if it is another."""
        definition = self._known.get(job.task)
        if definition.fingerprint == job.fingerprint or job.id not in requests:
            return None
        self._known.encode(definition, requests[job.id], max_bytes=_NO_LIMIT)
        return definition.fingerprint

    def _act(self, planned: Sequence[Planned], epoch: Callable[[], int | None]) -> int:
        """Write steps and push what they made; how many executions that is."""
        now = epoch()
        if now is None or not planned:
            return 0
        self._cancel([id_ for plan in planned for id_ in plan.cancel], epoch=now)
        replies = self._storage.fire_recurring([plan.step for plan in planned], epoch=now)
        entries = [entry for reply in replies for entry in reply.entries]
        self._pusher.push(entries)
        refused = []
        for plan, reply in zip(planned, replies, strict=True):
            if reply.refused is not None:
                refused.append(_refused(plan, reply))
            elif reply.applied:
                _report(plan)
        if refused:
            self._act(refused, epoch)
        return len(entries)

    def _cancel(self, ids: Sequence[str], *, epoch: int) -> None:
        for first in range(0, len(ids), MAX_BATCH):
            batch = ids[first : first + MAX_BATCH]
            moves = [m for m in self._storage.cancel_overlapped(batch, epoch=epoch) if m.changed]
            ended = [move.entry for move in moves if move.after is ExecutionStatus.CANCELLED]
            self._pusher.withdraw([entry for entry in ended if entry is not None])
            for move in moves:
                if move.after is ExecutionStatus.RUNNING and move.worker_name:
                    self._pusher.request_stop(move.id, move.worker_name)


def _step(
    due: DueJob,
    decision: Decision,
    rows: tuple[FireRow, ...],
    *,
    reason: str | None = None,
    due_at: datetime | None = None,
    fingerprint: str | None = None,
) -> RecurringStep:
    job = due.job
    return RecurringStep(
        job_id=job.id,
        version=job.version,
        plans=True,
        expected=job.next_fire_at,
        next_fire_at=decision.next_fire_at,
        due_at=due_at
        or decide.due_at(
            job.id, fire_at=decision.next_fire_at, jitter_s=job.jitter_s, enabled=job.enabled
        ),
        # A look that fired nothing proves nothing about a job that is broken.
        broken_reason=reason if decision.fires or reason else job.broken_reason,
        fires=rows,
        counted=decide.counted(decision.fires),
        finished=due.finished,
        tracks=job.overlap is not Overlap.ALLOW,
        fingerprint=fingerprint,
    )


def _row_of(fire: Fire) -> FireRow:
    return FireRow(fire_at=fire.fire_at, outcome=fire.outcome, reason=fire.reason, count=fire.count)


def _refused(plan: Planned, reply: StepReply) -> Planned:
    """The same step without what the ledger cannot store."""
    reason = f"the ledger refused its execution: {reply.refused}"
    rows = tuple(
        FireRow(fire_at=row.fire_at, outcome=FireOutcome.BROKEN, reason=reason)
        if row.execution is not None
        else row
        for row in plan.step.fires
    )
    step = replace(plan.step, fires=rows, counted=0, broken_reason=reason)
    return Planned(job=plan.job, step=step)


def _report(plan: Planned) -> None:
    job, reason = plan.job, plan.step.broken_reason
    if not plan.step.plans or reason == job.broken_reason:
        return
    if reason is None:
        log_event(logger, logging.INFO, "recurring.mended", job=job.name)
    else:
        log_event(logger, logging.ERROR, "recurring.broken", job=job.name, reason=reason)
