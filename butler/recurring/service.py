"""`RecurringJobs`: what an application does with its recurring jobs; ``butler.recurring``.

Every change is written under the version that was read, so that of two people who edit a job at
once the second is told. A change that names no version is made on whatever the job is: read,
changed and written again until nobody was in between.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias, Unpack

from butler.errors import (
    IllegalTransition,
    InvalidOption,
    InvalidSchedule,
    RecurringJobExists,
    RecurringJobNotFound,
    StaleUpdate,
)
from butler.handles import Handle
from butler.ids import is_id
from butler.option_texts import check_aware
from butler.producing import Order
from butler.recurring.bulk import BulkSteps
from butler.recurring.decide import TICK, first_fire
from butler.recurring.declaring import Declaring
from butler.recurring.definitions import changed_definition, execution_of, new_definition
from butler.recurring.job import FireOutcome, JobStatus, Overlap, RecurringJob
from butler.recurring.options import check_job_name, check_recurring_options, check_schedule
from butler.storage.recurring_records import (
    FireQuery,
    FireRow,
    RecurringChange,
    RecurringQuery,
    RecurringStep,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from butler.app import Butler
    from butler.enqueueing import Plan
    from butler.recurring.job import RecurringFire, RecurringPage, RecurringStatistics
    from butler.recurring.options import RecurringOptions
    from butler.schedules import PreviewedFire, Schedule
    from butler.storage.records import NewExecution, QueueEntry

    # Inside the class ``list`` is a method.
    Fires: TypeAlias = list[RecurringFire]
    Previews: TypeAlias = list[PreviewedFire]

MAX_PAGE = 1_000
MAX_PREVIEW = 1_000
_TRIES = 20


class Unset:
    """Stands for a request that was not given, since None can be one."""

    def __repr__(self) -> str:
        return "<as it is>"


UNSET: Final = Unset()


class RecurringJobs(Declaring, BulkSteps):
    """The recurring jobs of a ledger. A job is named by its name or its id.

    Called, it declares one: see `Declaring`.
    """

    def __init__(
        self,
        butler: Butler,
        *,
        prepare: Callable[[Order], tuple[NewExecution, Plan]],
        plan: Callable[[str], Plan],
    ) -> None:
        super().__init__()
        self._butler = butler
        self._prepare = prepare
        self._plan = plan

    def create(
        self,
        name: str,
        task: Any,
        schedule: Schedule | Mapping[str, Any],
        *,
        request: Any = None,
        **options: Unpack[RecurringOptions],
    ) -> RecurringJob:
        """Add a job; the request is checked against the task's type now.

        ``task`` is a registered task or the name of one that workers have announced. Raises
        `RecurringJobExists`, `UnknownTask`, `TaskNotBound`, `InvalidRequest`, `InvalidOption` and
        `InvalidSchedule`, also for a schedule that would never fire.
        """
        when, checked = check_schedule(schedule), check_recurring_options(options)
        definition = new_definition(
            check_job_name(name),
            prepared=self.prepared(task, request, queue=checked.get("queue")),
            schedule=when,
            options=checked,
            source=None,
            now=self._storage.now(),
        )
        if definition.next_fire_at is None:
            raise InvalidSchedule(f"{name!r} would never fire: {when.describe()}")
        self._announce([definition.task])
        if not self._storage.insert_recurring([definition])[0]:
            raise RecurringJobExists(name)
        return self.get(definition.id)

    def find(self, job: str) -> RecurringJob | None:
        """The job with this name or id; None when there is none."""
        found = self._storage.get_recurring(ids=[job] if is_id(job) else [], names=[job])
        # A name may look like an id; then the id is meant.
        return min(found, key=lambda other: other.id != job, default=None)

    def get(self, job: str) -> RecurringJob:
        """`find`, but raises `RecurringJobNotFound`."""
        found = self.find(job)
        if found is None:
            raise RecurringJobNotFound(job)
        return found

    def list(
        self,
        *,
        status: str | Iterable[str] = (),
        task: str | None = None,
        queue: str | None = None,
        tag: str | None = None,
        owner: str | None = None,
        source: str | None = None,
        text: str | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> RecurringPage:
        """A page of jobs, by name; every filter must hold.

        ``status`` is one `JobStatus` or several. ``text`` is looked for in name and description.
        ``cursor`` is the ``next_cursor`` of the page before, ``limit`` is 1..1000. Raises
        `InvalidOption`.
        """
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidOption(f"limit must be in 1..{MAX_PAGE}, got {limit!r}")
        query = RecurringQuery(
            status=_members(JobStatus, "status", status),
            task=task,
            queue=queue,
            tag=tag,
            owner=owner,
            source=source,
            text=text,
            after=cursor,
            limit=limit,
        )
        return self._storage.find_recurring(query)

    def update(
        self,
        job: str,
        *,
        version: int | None = None,
        task: Any = None,
        schedule: Schedule | Mapping[str, Any] | None = None,
        request: Any = UNSET,
        **options: Unpack[RecurringOptions],
    ) -> RecurringJob:
        """Change what is given and leave the rest; with ``version`` only if the job still has it.

        An option that is None goes back to its default. Raises `StaleUpdate` when somebody else
        changed the job since, and what `create` raises.
        """
        when = None if schedule is None else check_schedule(schedule)
        checked = check_recurring_options(options)
        # On another queue other keys may take turns.
        is_moved = "queue" in checked and bool(self._butler.fair_by)
        prepared = None
        if task is not None or is_moved or not isinstance(request, Unset):
            known = self.get(job)
            given = known.request if isinstance(request, Unset) else request
            queue = checked.get("queue", known.queue)
            prepared = self.prepared(task or known.task, given, queue=queue)
            self._announce([prepared.task])
        return self._change(job, version=version, schedule=when, options=checked, prepared=prepared)

    def delete(self, job: str) -> None:
        """Remove a job and the record of its fires; its executions stay.

        A job that code declares comes back with the next sync. Raises `RecurringJobNotFound`.
        """
        if not self._storage.delete_recurring([self.get(job).id])[0]:
            raise RecurringJobNotFound(job)

    def pause(self, job: str) -> RecurringJob:
        """Fire no more until it is resumed; what runs goes on. Pausing twice changes nothing."""
        found = self.get(job)
        return self._change(job, options={"enabled": False}) if found.enabled else found

    def resume(self, job: str) -> RecurringJob:
        """Fire again, from now on; fire times that passed in the pause were not missed."""
        found = self.get(job)
        return found if found.enabled else self._change(job, options={"enabled": True})

    def trigger(self, job: str, request: Any = UNSET) -> Handle[Any]:
        """Run it now, also when it is paused; its schedule and its overlap policy do not matter.

        With a ``request`` other than the job's own, which is checked. Raises
        `RecurringJobNotFound`, and `IllegalTransition` when an unfinished execution holds the
        unique key.
        """
        found = self.get(job)
        plan = self._plan(found.task)
        prepared = None
        if not isinstance(request, Unset):
            prepared = self.prepared(found.task, request, queue=found.queue)
            if prepared.request is None:
                # SQL's NULL would stand for the job's own request.
                prepared = replace(prepared, request="null")
        new = execution_of(found, plan, prepared=prepared)
        entries = self._start(found, new)
        pushed = self._butler.pusher.push(entries)
        return Handle(self._butler, new.id, result=plan.result, created=True, pushed=pushed)

    def history(
        self,
        job: str,
        *,
        outcome: str | Iterable[str] = (),
        before: datetime | None = None,
        limit: int = 100,
    ) -> Fires:
        """What became of its fire times, newest first, as long as the ledger keeps them.

        ``before`` is the ``fire_at`` of the last one of the page before. Raises
        `RecurringJobNotFound` and `InvalidOption`.
        """
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidOption(f"limit must be in 1..{MAX_PAGE}, got {limit!r}")
        query = FireQuery(
            job_id=self.get(job).id,
            outcomes=_members(FireOutcome, "outcome", outcome),
            before=None if before is None else check_aware("before", before),
            limit=limit,
        )
        return self._storage.recurring_fires(query)

    def statistics(self, job: str) -> RecurringStatistics:
        """What became of its newest 10,000 fires; raises `RecurringJobNotFound`."""
        return self._storage.recurring_statistics(self.get(job).id)

    def preview(self, job: str | Schedule | Mapping[str, Any], *, count: int = 10) -> Previews:
        """The next fires of a job or of a schedule, with what changes of clocks do to them.

        Jitter comes on top. Fewer than ``count`` (1..1,000) when the job ends before. A paused job
        is shown as if it were resumed now. Raises `RecurringJobNotFound` and `InvalidSchedule`.
        """
        if not 1 <= count <= MAX_PREVIEW:
            raise InvalidOption(f"count must be in 1..{MAX_PREVIEW}, got {count!r}")
        now = self._storage.now()
        if not isinstance(job, str):
            return check_schedule(job).preview(now, count)
        found = self.get(job)
        return _upcoming(found, now=now, count=count)

    def prepared(self, task: Any, request: Any, *, queue: str | None = None) -> NewExecution:
        """An execution of the task as it would be enqueued: its request checked and encoded.

        ``queue`` is the task's where it is None; whose turn it is may depend on it.
        """
        made, _ = self._prepare(Order(task=task, request=request, options={"queue": queue}))
        return made

    def _start(self, job: RecurringJob, new: NewExecution) -> Sequence[QueueEntry]:
        """Record a trigger by hand, and make its execution; what needs a push."""
        now = self._storage.now()
        for tried in range(_TRIES):
            # A job has one fire at any time, and somebody else may have triggered it just now.
            fire_at = now + tried * TICK
            row = FireRow(fire_at=fire_at, outcome=FireOutcome.FIRED, manual=True, execution=new)
            tracks = job.overlap is not Overlap.ALLOW
            step = RecurringStep(job_id=job.id, version=None, fires=(row,), tracks=tracks)
            [reply] = self._storage.fire_recurring([step])
            if reply.entries:
                return reply.entries
            if not reply.applied:
                raise RecurringJobNotFound(job.name)
            if reply.held:
                break
        raise IllegalTransition(
            f"{job.name!r} was not triggered: an unfinished execution holds its unique key "
            f"{new.unique_key!r}"
        )

    def _change(
        self,
        job: str,
        *,
        version: int | None = None,
        schedule: Schedule | None = None,
        options: Mapping[str, Any],
        prepared: NewExecution | None = None,
    ) -> RecurringJob:
        for _ in range(_TRIES):
            found = self.get(job)
            if version is not None and found.version != version:
                raise StaleUpdate(found.name, expected=version, found=found.version)
            definition = changed_definition(
                found,
                now=self._storage.now(),
                schedule=schedule,
                options=options,
                prepared=prepared,
            )
            change = RecurringChange(version=found.version, definition=definition)
            if self._storage.change_recurring([change])[0]:
                return self.get(found.id)
        raise StaleUpdate(found.name, expected=found.version, found=self.get(job).version)


def _upcoming(job: RecurringJob, *, now: datetime, count: int) -> list[PreviewedFire]:
    schedule = job.schedule
    first = job.next_fire_at
    if not job.enabled:
        first = first_fire(schedule, now=now, starts_at=job.starts_at, ends_at=job.ends_at)
    if first is None:
        return []
    if job.max_fires is not None:
        count = min(count, max(job.max_fires - job.fires, 0))
    fires = schedule.preview(first - TICK, count)
    return [fire for fire in fires if job.ends_at is None or fire.at <= job.ends_at]


def _members(kind: Any, option: str, given: str | Iterable[str]) -> frozenset[Any]:
    items = [given] if isinstance(given, str) else given
    try:
        return frozenset(kind(item) for item in items)
    except ValueError as error:
        known = ", ".join(kind)
        raise InvalidOption(f"{option} must be one of {known}: {error}") from None
