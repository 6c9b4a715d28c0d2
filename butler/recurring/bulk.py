"""One step for many recurring jobs: by their names, or all that a filter lets through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from butler.errors import ButlerError, InvalidOption, RecurringJobNotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

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
        step: Callable[[str], Any] = getattr(self, action)
        for name, job in self._named(jobs) if jobs is not None else self._matching(given):
            try:
                if job is None:
                    raise RecurringJobNotFound(name)
                if not dry_run:
                    step(job.id)
            except ButlerError as error:
                failed[name] = str(error)
            else:
                done.append(job.name)
        return BulkReport(action=action, dry_run=dry_run, done=tuple(done), failed=failed)

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
