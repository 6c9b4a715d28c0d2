"""Recurring jobs that are declared in code, beside their tasks, and their way into the ledger.

``sync`` makes the ledger's jobs of one source (an application) what its code says: it adds, changes
and deletes, and leaves every other source's jobs alone, and those made through the API. Whether a
job is paused is an operator's to say, so it is kept.

Two releases of one application that run at once each sync when their scheduler starts; the last one
wins. Rejected: only ever adding. A job whose code is gone would fire for ever, and each time be
broken.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from butler.errors import DefinitionError, InvalidOption, InvalidSchedule
from butler.function_tasks import FunctionTask
from butler.recurring.definitions import changed_definition, new_definition
from butler.recurring.options import check_job_name, check_recurring_options, check_schedule
from butler.storage.base import MAX_BATCH
from butler.storage.recurring_records import RecurringChange, RecurringDefinition, RecurringQuery
from butler.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from butler.app import Butler
    from butler.recurring.job import RecurringJob
    from butler.recurring.options import RecurringOptions
    from butler.schedules import Schedule
    from butler.storage.base import Storage
    from butler.storage.records import NewExecution

T = TypeVar("T")

# How a job stands is the ledger's to say, and whether it is paused an operator's.
_NOT_COMPARED = {"id", "source", "enabled", "next_fire_at", "due_at", "keep_request"}
_PAGE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """One ``@butler.recurring(...)``."""

    name: str
    task: Any
    schedule: Schedule
    request: Any
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """What a sync did, or with ``dry_run`` would do, by the names of jobs.

    ``conflicts`` are declared names that belong to somebody else: nothing was done about them.
    """

    source: str
    dry_run: bool
    created: tuple[str, ...]
    updated: tuple[str, ...]
    deleted: tuple[str, ...]
    unchanged: tuple[str, ...]
    conflicts: tuple[str, ...]

    @property
    def changed(self) -> bool:
        """Whether anything had to be done."""
        return bool(self.created or self.updated or self.deleted)


class Declaring:
    """The part of `RecurringJobs` that declares jobs in code and brings them to the ledger."""

    _butler: Butler
    prepared: Callable[..., NewExecution]

    def __init__(self) -> None:
        self._declared: dict[str, Declaration] = {}
        self._announced: set[str] = set()

    @property
    def _storage(self) -> Storage:
        return self._butler.storage

    def __call__(
        self,
        schedule: Schedule | Mapping[str, Any],
        *,
        request: Any = None,
        name: str | None = None,
        **options: Unpack[RecurringOptions],
    ) -> Callable[[T], T]:
        """``@butler.recurring(Cron("0 9 * * *"), request=...)`` above a task declares a job.

        The task is registered too. The job is named like the task unless ``name`` is given, which
        a second one of the same task needs. Nothing is written before `sync`, which a scheduler
        that is given this Butler does at its start. Raises `DefinitionError`.
        """
        try:
            when = check_schedule(schedule)
            checked = check_recurring_options(options)
            chosen = None if name is None else check_job_name(name)
        except (InvalidOption, InvalidSchedule) as error:
            raise DefinitionError(f"@butler.recurring: {error}") from error

        def declare(task: T) -> T:
            _check_task(task)
            self._butler.register(task)
            job = chosen or str(getattr(task, "name", ""))
            if job in self._declared:
                raise DefinitionError(
                    f"@butler.recurring: a job named {job!r} is declared already; give one of "
                    "them another name="
                )
            self._declared[job] = Declaration(
                name=job, task=task, schedule=when, request=request, options=checked
            )
            return task

        return declare

    def declared(self) -> list[Declaration]:
        """What code has declared, by name; imports what the Butler includes."""
        self._butler.import_tasks()
        return [self._declared[name] for name in sorted(self._declared)]

    def sync(self, *, source: str | None = None, dry_run: bool = False) -> SyncReport:
        """Make this source's jobs in the ledger what the code declares; with ``dry_run`` only tell.

        ``source`` defaults to the Butler's name. Safe to run from many processes at once. Raises
        `InvalidRequest` and `InvalidOption` with nothing written when a declaration does not fit
        its task.
        """
        ours = source or self._butler.name
        now = self._storage.now()
        wanted = {
            said.name: new_definition(
                said.name,
                prepared=self._prepared(said),
                schedule=said.schedule,
                options=said.options,
                source=ours,
                now=now,
            )
            for said in self.declared()
        }
        known = {job.name: job for job in self._known_jobs(ours, list(wanted))}
        creations = [said for name, said in wanted.items() if name not in known]
        mine = {name: job for name, job in known.items() if job.source == ours}
        deletions = [job for name, job in mine.items() if name not in wanted]
        updates = [
            job for name, job in mine.items() if name in wanted and _differs(job, wanted[name])
        ]
        if not dry_run:
            self._announce({said.task for said in wanted.values()})
            creations = self._create(creations)
            self._update(updates, ours)
            for first in range(0, len(deletions), MAX_BATCH):
                batch = deletions[first : first + MAX_BATCH]
                self._storage.delete_recurring([job.id for job in batch])
        changed = {job.name for job in updates}
        return SyncReport(
            source=ours,
            dry_run=dry_run,
            created=tuple(sorted(said.name for said in creations)),
            updated=tuple(sorted(changed)),
            deleted=tuple(sorted(job.name for job in deletions)),
            unchanged=tuple(sorted((mine.keys() & wanted.keys()) - changed)),
            conflicts=tuple(sorted((wanted.keys() & known.keys()) - mine.keys())),
        )

    def _announce(self, tasks: Iterable[str]) -> None:
        """Tell the ledger of tasks whose code is here, where no worker has done so yet.

        Until one has, a scheduler, which has no code, would take their jobs for broken. What a
        worker has said stands: it is the one that will run them.
        """
        new = set(tasks) - self._announced
        if new:
            known = {definition.name for definition in self._storage.task_definitions()}
            ours = self._butler.tasks()
            self._storage.register_tasks(
                [said for said in ours if said.name in new and said.name not in known]
            )
            self._announced |= new

    def _known_jobs(self, source: str, names: Sequence[str]) -> Iterator[RecurringJob]:
        """All jobs of the source, and those of others that have one of the names."""
        for first in range(0, len(names), MAX_BATCH):
            found = self._storage.get_recurring(names=names[first : first + MAX_BATCH])
            yield from (job for job in found if job.source != source)
        query, more = RecurringQuery(source=source, limit=_PAGE), True
        while more:
            page = self._storage.find_recurring(query)
            yield from page.jobs
            query = RecurringQuery(source=source, limit=_PAGE, after=page.next_cursor)
            more = page.next_cursor is not None

    def _prepared(self, said: Declaration) -> NewExecution:
        return self.prepared(said.task, said.request, queue=said.options.get("queue"))

    def _create(self, creations: Sequence[RecurringDefinition]) -> list[RecurringDefinition]:
        """Add jobs; those whose names another process has just taken are left to it."""
        created = []
        for first in range(0, len(creations), MAX_BATCH):
            batch = creations[first : first + MAX_BATCH]
            done = self._storage.insert_recurring(batch)
            created += [said for said, is_there in zip(batch, done, strict=True) if is_there]
        return created

    def _update(self, jobs: Sequence[RecurringJob], source: str) -> None:
        """Change jobs to what is declared, whatever somebody else changes meanwhile."""
        for job in jobs:
            said = self._declared[job.name]
            found: RecurringJob | None = job
            while found is not None and found.source == source:
                definition = changed_definition(
                    found,
                    now=self._storage.now(),
                    schedule=said.schedule,
                    options=_declared_options(said),
                    prepared=self._prepared(said),
                )
                change = RecurringChange(version=found.version, definition=definition)
                if self._storage.change_recurring([change])[0]:
                    break
                found = next(iter(self._storage.get_recurring(ids=[job.id])), None)


def _declared_options(said: Declaration) -> dict[str, Any]:
    from butler.recurring.options import DEFAULTS

    options = {**DEFAULTS, **said.options}
    del options["enabled"]
    return options


def _differs(job: RecurringJob, wanted: RecurringDefinition) -> bool:
    compared = {field.name for field in fields(RecurringDefinition)} - _NOT_COMPARED
    for name in compared - {"request", "schedule"}:
        if getattr(job, name) != getattr(wanted, name):
            return True
    if job.request != (None if wanted.request is None else json.loads(wanted.request)):
        return True
    from butler.recurring.job import read_schedule

    try:
        return job.schedule != read_schedule(wanted.schedule)
    except InvalidSchedule:
        return True


def _check_task(task: object) -> None:
    kind = isinstance(task, type) and issubclass(task, Task)
    if isinstance(task, FunctionTask | Task) or kind or hasattr(task, "execute"):
        return
    raise DefinitionError(
        f"@butler.recurring stands above @butler.task, not below it: {task!r} is no task yet"
    )
