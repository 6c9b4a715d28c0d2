"""One step for many recurring jobs: by their names, or all that a filter lets through."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, assert_never

from butler.errors import ButlerError, InvalidOption, RecurringJobNotFound
from butler.recurring.definitions import changed_definition
from butler.storage.recurring_records import RecurringChange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from butler.app import Butler
    from butler.recurring.job import RecurringJob, RecurringPage

BulkAction = Literal["pause", "resume", "trigger", "delete"]
ACTIONS: tuple[BulkAction, ...] = ("pause", "resume", "trigger", "delete")
_PAGE = 1_000

# Inside the class ``list`` is a method.
Names = list[str]


class JobFilters(TypedDict, total=False):
    """The filters of `RecurringJobs.list`."""

    status: str | Iterable[str]
    task: str | None
    queue: str | None
    tag: str | None
    owner: str | None
    source: str | None
    text: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkReport:
    """What a bulk step did, or with ``dry_run`` would do, by the names of jobs.

    ``failed`` holds the reason for each that it could not be done for.
    """

    action: BulkAction
    dry_run: bool
    done: tuple[str, ...]
    failed: dict[str, str]


class BulkSteps:
    """The part of `RecurringJobs` that does one thing to many."""

    find: Callable[[str], RecurringJob | None]
    list: Callable[..., RecurringPage]
    _butler: Butler

    def bulk(
        self,
        action: BulkAction,
        *,
        jobs: Iterable[str] | None = None,
        dry_run: bool = False,
        **filters: Unpack[JobFilters],
    ) -> BulkReport:
        """``pause``, ``resume``, ``trigger`` or ``delete`` these jobs, or all that match.

        Either ``jobs`` (names or ids) or at least one filter of `list` is given. What fails for
        one job is in the report and stops no other. Raises `InvalidOption`.
        """
        if action not in ACTIONS:
            raise InvalidOption(f"action must be one of {', '.join(ACTIONS)}, got {action!r}")
        given = {name: value for name, value in filters.items() if value is not None}
        if (jobs is None) == (not given):
            raise InvalidOption("bulk needs either jobs= or at least one filter (task=, tag=, …)")
        done: Names = []
        failed: dict[str, str] = {}
        found = self._named(jobs) if jobs is not None else self._matching(given)
        while page := list(islice(found, _PAGE)):
            there = [job for _, job in page if job is not None]
            failed |= {name: str(RecurringJobNotFound(name)) for name, job in page if job is None}
            refused = {} if dry_run else self._step(action, there)
            failed |= refused
            done += [job.name for job in there if job.name not in refused]
        return BulkReport(action=action, dry_run=dry_run, done=tuple(done), failed=failed)

    def _step(self, action: BulkAction, jobs: Sequence[RecurringJob]) -> dict[str, str]:
        """Do it for a page of jobs in one statement where one can; why not, by name."""
        match action:
            case "delete":
                gone = self._butler.storage.delete_recurring([job.id for job in jobs])
                left = [job for job, deleted in zip(jobs, gone, strict=True) if not deleted]
                return {job.name: str(RecurringJobNotFound(job.name)) for job in left}
            case "pause" | "resume":
                return self._each(action, self._unswitched(jobs, enabled=action == "resume"))
            case "trigger":
                return self._each(action, jobs)
            case _:
                assert_never(action)

    def _unswitched(self, jobs: Sequence[RecurringJob], *, enabled: bool) -> Sequence[RecurringJob]:
        """Switch jobs on or off in one statement; returns those for which that was not possible."""
        storage = self._butler.storage
        now, left, changes, switched = storage.now(), [], [], []
        for job in jobs:
            if job.enabled is enabled:
                continue
            try:
                definition = changed_definition(job, now=now, options={"enabled": enabled})
            except ButlerError:
                left.append(job)
            else:
                changes.append(RecurringChange(version=job.version, definition=definition))
                switched.append(job)
        done = storage.change_recurring(changes)
        return [*left, *(job for job, was in zip(switched, done, strict=True) if not was)]

    def _each(self, action: BulkAction, jobs: Iterable[RecurringJob]) -> dict[str, str]:
        step: Callable[[str], Any] = getattr(self, action)
        failed = {}
        for job in jobs:
            try:
                step(job.id)
            except ButlerError as error:
                failed[job.name] = str(error)
        return failed

    def _named(self, jobs: Iterable[str]) -> Iterator[tuple[str, RecurringJob | None]]:
        for name in dict.fromkeys(jobs):
            yield name, self.find(name)

    def _matching(self, filters: dict[str, Any]) -> Iterator[tuple[str, RecurringJob | None]]:
        cursor = None
        while True:
            page = self.list(**filters, cursor=cursor, limit=_PAGE)
            for job in page.jobs:
                yield job.name, job
            cursor = page.next_cursor
            if cursor is None:
                return
