"""`RqSchedulerImport`: recurring jobs in the place of what rq-scheduler holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from butler.errors import InvalidOption, InvalidRequest, InvalidSchedule
from butler.recurring.rq_conversion import NotConvertible, convert, name_of
from butler.recurring.rq_entries import read_entries, remove_entry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis import Redis

    from butler.recurring.rq_conversion import Conversion
    from butler.recurring.rq_entries import RqEntry
    from butler.recurring.service import RecurringJobs
    from butler.storage.records import TaskDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedEntry:
    """What became of one entry: ``name`` is its recurring job; ``problem`` is why it has none.

    ``created`` is False for one that was imported before. ``removed`` says that rq-scheduler's
    entry is gone.
    """

    job_id: str
    function: str
    name: str | None = None
    schedule: str = ""
    created: bool = False
    removed: bool = False
    problem: str | None = None


class RqSchedulerImport:
    """Makes recurring jobs of rq-scheduler's entries, and takes these away if asked.

    While an entry is there, rq-scheduler or our bridge fires it. So without ``remove`` the
    recurring jobs are made paused, to be looked at. With it they are made, or resumed, and the
    entry is taken away when that is committed: a process that dies in between leaves both, and the
    next import takes the entry away.
    """

    def __init__(self, jobs: RecurringJobs, redis: Redis) -> None:
        self._jobs = jobs
        self._redis = redis

    def run(
        self,
        *,
        tasks: Mapping[str, TaskDefinition],
        names: Mapping[str, str],
        timezone: str,
        remove: bool,
        dry_run: bool,
    ) -> list[ImportedEntry]:
        """Do it for every entry, by next time; one that cannot be converted is left as it is.

        ``tasks`` are those there are, ``names`` maps functions to tasks, ``timezone`` is what cron
        expressions mean. With ``dry_run`` nothing is changed, and requests are still checked.
        Raises `QueueUnavailable` and `StorageUnavailable`.
        """
        imported = []
        for entry in list(read_entries(self._redis)):
            try:
                found = convert(entry, tasks=tasks, names=names, timezone=timezone)
                done = self._import(entry, found, remove=remove, dry_run=dry_run)
            except (NotConvertible, InvalidRequest, InvalidOption, InvalidSchedule) as error:
                done = ImportedEntry(
                    job_id=entry.job_id, function=entry.function, problem=str(error)
                )
            imported.append(done)
        return imported

    def _import(
        self, entry: RqEntry, found: Conversion, *, remove: bool, dry_run: bool
    ) -> ImportedEntry:
        there = self._jobs.find(name_of(entry.job_id))
        if dry_run:
            self._jobs.prepared(found.task, found.request)
        elif there is None:
            self._jobs.create(
                found.name,
                found.task,
                found.schedule,
                request=found.request,
                enabled=remove,
                **found.options,
            )
        elif remove:
            self._jobs.resume(there.id)
        removed = remove and not dry_run and remove_entry(self._redis, entry.job_id)
        return ImportedEntry(
            job_id=entry.job_id,
            function=entry.function,
            name=found.name,
            schedule=found.schedule.describe(),
            created=there is None,
            removed=removed,
        )
