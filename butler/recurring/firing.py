"""Firing: due jobs are read, decided one by one, and written and pushed in batches.

What decides is pure (`butler.recurring.decide`); what is written is one statement for a batch,
which does nothing for a job that changed since it was read. So anybody may die anywhere in between:
what was not written is due again, what was written and not pushed is found by the reconciler.

A job that cannot fire (its task is gone, its request does not fit it any more, its schedule cannot
be read) is broken, with the reason, and costs the others nothing; it is tried again at its next
fire time. The request is not read for that: it was checked against the task's schema of a
fingerprint, and only when workers announce another one is it read and checked again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
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

    from butler.clock import Clock
    from butler.enqueueing import Plan
    from butler.pushing import Pusher
    from butler.recurring.decide import Fire
    from butler.recurring.job import RecurringJob
    from butler.storage.base import Storage
    from butler.storage.records import TaskDefinition
    from butler.storage.recurring_records import DueJob, StepReply

logger = logging.getLogger(__name__)

# A schedule that cannot be read has no next fire time at which to try again.
UNREADABLE_AGAIN_S = 60.0
# Half a batch sooner is half a batch's time earlier for those in it, and more statements for all.
BATCH = 250
AHEAD_S = 2.0
AHEAD_PAGE = 500
AHEAD_LIMIT = 10_000
LONG_AGO = datetime.min.replace(tzinfo=UTC)
_NO_LIMIT = 2**40  # what is stored was small enough when it was saved


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A step to be written, and the executions that it replaces."""

    job: RecurringJob
    step: RecurringStep
    due_at: datetime | None = None
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
        batch: int = BATCH,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._storage = storage
        self._pusher = pusher
        self._batch = batch
        self._known = KnownTasks(storage.task_definitions, clock=clock)
        self._ahead: dict[str, Planned] = {}
        self._looked_after: tuple[datetime, str] | None = None
        self._looked_until = LONG_AGO
        self._plans: dict[str, tuple[TaskDefinition, Plan]] = {}

    def prepare(self, epoch: Callable[[], int | None], *, now: datetime) -> bool:
        """Decide a page of what is due within `AHEAD_S`; whether there are more pages.

        So that its time will cost only the writing. Jobs whose decision may change by then
        (something of theirs runs or waits) are left to `fire_due`. What does change undoes the
        step: the ledger compares before it writes.
        """
        if now < self._looked_until or epoch() is None:
            return False
        soon = self._storage.due_recurring(
            limit=AHEAD_PAGE, ahead_s=AHEAD_S, after=self._looked_after
        )
        requests = self._requests(soon.jobs)
        for due in soon.jobs:
            known = self._ahead.get(due.job.id)
            fresh = known is not None and known.due_at == due.due_at
            if not fresh and due.due_at is not None and due.due_at > soon.now and _is_settled(due):
                self._ahead[due.job.id] = self._plan(
                    due, now=due.due_at, requests=requests, ahead=True
                )
        if len(soon.jobs) == AHEAD_PAGE and len(self._ahead) < AHEAD_LIMIT:
            last = soon.jobs[-1]
            assert last.due_at is not None
            self._looked_after = last.due_at, last.job.id
            return True
        self._looked_after = None
        self._looked_until = soon.now + timedelta(seconds=AHEAD_S)
        return False

    def fire_due(self, epoch: Callable[[], int | None], *, now: datetime) -> int:
        """Fire all jobs that are due at ``now``, the ledger's time; how many executions."""
        ready = [plan for plan in self._ahead.values() if plan.due_at and plan.due_at <= now]
        for plan in ready:
            del self._ahead[plan.job.id]
        made = 0
        for first in range(0, len(ready), self._batch):
            made += self._act(ready[first : first + self._batch], epoch)
        while epoch() is not None:
            due = self._storage.due_recurring(limit=self._batch)
            requests = self._requests(due.jobs)
            planned = [self._plan(job, now=due.now, requests=requests) for job in due.jobs]
            made += self._act(planned, epoch)
            if len(due.jobs) < self._batch:
                break
        # What has fired may be due again soon.
        self._looked_until = LONG_AGO
        return made

    def forget(self) -> None:
        """What was prepared is not to be fired by this process."""
        self._ahead.clear()
        self._looked_after, self._looked_until = None, LONG_AGO

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

    def _plan(
        self,
        due: DueJob,
        *,
        now: datetime,
        requests: dict[str, object],
        ahead: bool = False,
    ) -> Planned:
        step, cancel = self._decide(due, now=now, requests=requests)
        if ahead:
            step = replace(step, tracked=due.tracked)
        return Planned(job=due.job, step=step, due_at=due.due_at, cancel=cancel)

    def _decide(
        self, due: DueJob, *, now: datetime, requests: dict[str, object]
    ) -> tuple[RecurringStep, tuple[str, ...]]:
        """The step of a job at this time, and the executions it replaces."""
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
            return _step(due, unread, (), due_at=again_at, reason=reason), ()
        try:
            fingerprint = self._check_request(job, requests) if decision.fires else None
            rows = tuple(self._row(job, fire) for fire in decision.fires)
        except (UnknownTask, InvalidRequest, InvalidOption) as error:
            decision = decide.broken(decision, str(error))
            rows = tuple(_row_of(fire) for fire in decision.fires)
            return _step(due, decision, rows, reason=str(error)), ()
        return _step(due, decision, rows, fingerprint=fingerprint), decision.cancel

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
        new = execution_of(job, self._plan_of(job.task))
        return FireRow(fire_at=fire.fire_at, outcome=fire.outcome, execution=new)

    def _plan_of(self, task: str) -> Plan:
        """What the task says; made once for each definition of it."""
        definition = self._known.get(task)
        held = self._plans.get(task)
        if held is None or held[0] is not definition:
            held = self._plans[task] = definition, plan_of_definition(definition)
        return held[1]

    def _requests(self, due: Sequence[DueJob]) -> dict[str, object]:
        """The requests that have to be checked anew, by job."""
        asked: dict[tuple[str, str | None], bool] = {}
        stale = []
        for job in (each.job for each in due):
            key = job.task, job.fingerprint
            if key not in asked:
                asked[key] = self._is_stale(job)
            if asked[key]:
                stale.append(job.id)
        found = self._storage.get_recurring(ids=stale) if stale else []
        return {job.id: job.request for job in found}

    def _is_stale(self, job: RecurringJob) -> bool:
        try:
            return self._known.get(job.task).fingerprint != job.fingerprint
        except UnknownTask:
            return False

    def _check_request(self, job: RecurringJob, requests: dict[str, object]) -> str | None:
        """The fingerprint under which the request has just been found valid, if it is another."""
        if job.id not in requests:
            return None
        definition = self._known.get(job.task)
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


def _is_settled(due: DueJob) -> bool:
    """Whether nothing that runs or waits has a say in what this job does next."""
    return not due.unfinished and not due.waiting


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
