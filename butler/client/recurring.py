"""Recurring jobs (pure). A job is named by its name or its id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Unpack

from butler.client.asks import Ask, as_model, as_nothing, given, plain
from butler.client.operations import makes, operation, pages
from butler.client.paging import Part, by_cursor
from butler.client.payloads import request_json
from butler.client.resource import D, Resource
from butler.recurring.service import UNSET
from butler.schedules.base import Schedule
from butler.web.models.executions import Enqueued
from butler.web.models.recurring import (
    JobHistory,
    JobPage,
    JobStatistics,
    JobStepReport,
    Preview,
    ShownJob,
    ShownJobHealth,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from butler.client.options import JobFilters
    from butler.client.steps import Answer
    from butler.recurring.options import RecurringOptions
    from butler.web.models.recurring import ShownFire, ShownPreview

    Action = Literal["pause", "resume", "trigger", "delete"]

PAGE_SIZE = 200


class Recurring(Resource[D]):
    """The recurring jobs of a ledger."""

    @pages("GET /recurring-jobs")
    def list(
        self, *, page_size: int = PAGE_SIZE, **filters: Unpack[JobFilters]
    ) -> Ask[Part[ShownJob]]:
        """Iterate over jobs, by name; every filter must hold."""

        def read(answer: Answer) -> Part[ShownJob]:
            page = as_model(JobPage)(answer)
            return by_cursor(page.jobs, page.next_cursor)

        return Ask(read=read, query={**filters, "limit": page_size})

    @operation("GET /recurring-jobs/{job}")
    def get(self, job: str) -> Ask[ShownJob]:
        """A job; raises `RecurringJobNotFound`."""
        return _of(job, ShownJob)

    @operation("POST /recurring-jobs")
    def create(
        self,
        name: str,
        task: str,
        schedule: Schedule | Mapping[str, Any],
        *,
        request: Any = None,
        **options: Unpack[RecurringOptions],
    ) -> Ask[ShownJob]:
        """Add a job; its request is checked against the task's type now.

        Raises `RecurringJobExists`, `UnknownTask`, `InvalidRequest`, and `InvalidOption`, also for
        a schedule that cannot be read or would never fire.
        """
        body = {
            "name": name,
            "task": task,
            "schedule": _form(schedule),
            "request": request_json(task, request),
        }
        return Ask(read=as_model(ShownJob), body=body | given(options))

    @operation("PATCH /recurring-jobs/{job}")
    def update(
        self,
        job: str,
        *,
        version: int | None,
        task: str | None = None,
        schedule: Schedule | Mapping[str, Any] | None = None,
        request: Any = UNSET,
        **options: Unpack[RecurringOptions],
    ) -> Ask[ShownJob]:
        """Change what is given and leave the rest; an option that is None goes to its default.

        ``version`` is the ``version`` of the job as you have read it: raises `StaleUpdate` where
        somebody else has changed it since. None overwrites whatever there is.
        """
        body: dict[str, object] = {name: plain(value) for name, value in options.items()}
        if request is not UNSET:
            body["request"] = request_json(task or job, request)
        if task is not None:
            body["task"] = task
        if schedule is not None:
            body["schedule"] = _form(schedule)
        headers = {"If-Match": "*" if version is None else f'"{version}"'}
        return Ask(read=as_model(ShownJob), place={"job": job}, body=body, headers=headers)

    @operation("DELETE /recurring-jobs/{job}")
    def delete(self, job: str, *, version: int | None = None) -> Ask[None]:
        """Remove a job and the record of its fires; ``version`` is as for `update`."""
        headers = {} if version is None else {"If-Match": f'"{version}"'}
        return Ask(read=as_nothing, place={"job": job}, headers=headers)

    @operation("POST /recurring-jobs/{job}/pause")
    def pause(self, job: str) -> Ask[ShownJob]:
        """Fire no more until it is resumed; what runs goes on."""
        return _of(job, ShownJob)

    @operation("POST /recurring-jobs/{job}/resume")
    def resume(self, job: str) -> Ask[ShownJob]:
        """Fire again, from now on."""
        return _of(job, ShownJob)

    @makes("POST /recurring-jobs/{job}/trigger")
    def trigger(self, job: str, request: Any = UNSET) -> Ask[Enqueued]:
        """Run it now, also when it is paused, perhaps with another request than its own."""
        body = None if request is UNSET else {"request": request_json(job, request)}
        return Ask(read=as_model(Enqueued), place={"job": job}, body=body)

    @pages("GET /recurring-jobs/{job}/history")
    def history(
        self,
        job: str,
        *,
        outcome: str | Iterable[str] = (),
        before: datetime | None = None,
        page_size: int = PAGE_SIZE,
    ) -> Ask[Part[ShownFire]]:
        """Iterate over what became of its fire times, newest first."""

        def read(answer: Answer) -> Part[ShownFire]:
            page = as_model(JobHistory)(answer)
            before = page.next_before
            return Part(page.fires, None if before is None else {"before": before})

        query = {"outcome": outcome, "before": before, "limit": page_size}
        return Ask(read=read, place={"job": job}, query=query)

    @operation("GET /recurring-jobs/{job}/stats")
    def statistics(self, job: str) -> Ask[JobStatistics]:
        """What became of its newest 10,000 fires, and how long they took."""
        return _of(job, JobStatistics)

    @operation("GET /recurring-jobs/{job}/health")
    def health(self, job: str) -> Ask[ShownJobHealth]:
        """Whether it is late, failing, broken, paused, over, or well."""
        return _of(job, ShownJobHealth)

    @operation("GET /recurring-jobs/{job}/preview")
    def preview(self, job: str, *, count: int = 10) -> Ask[Sequence[ShownPreview]]:
        """Its next fire times, with what changes of clocks do to them."""
        return Ask(read=_fires, place={"job": job}, query={"count": count})

    @operation("POST /recurring-jobs/preview")
    def preview_schedule(
        self, schedule: Schedule | Mapping[str, Any], *, count: int = 10
    ) -> Ask[Sequence[ShownPreview]]:
        """The next fire times of a schedule that is saved nowhere."""
        return Ask(read=_fires, body={"schedule": _form(schedule), "count": count})

    @operation("POST /recurring-jobs/bulk")
    def bulk(
        self, action: Action, jobs: Iterable[str], *, dry_run: bool = False
    ) -> Ask[JobStepReport]:
        """One step for these jobs; what fails for one stops no other."""
        return _step(action, dry_run=dry_run, jobs=[*jobs])

    @operation("POST /recurring-jobs/bulk")
    def bulk_matching(
        self, action: Action, *, dry_run: bool = False, **filters: Unpack[JobFilters]
    ) -> Ask[JobStepReport]:
        """One step for all jobs that the filters let through; no filter at all is refused."""
        found = given(filters)
        status = found.get("status")
        if isinstance(status, str):
            found["status"] = [status]
        return _step(action, dry_run=dry_run, filter=found)


def _fires(answer: Answer) -> Sequence[ShownPreview]:
    return as_model(Preview)(answer).fires


def _of(job: str, model: Any) -> Ask[Any]:
    return Ask(read=as_model(model), place={"job": job})


def _form(schedule: Schedule | Mapping[str, Any]) -> Mapping[str, Any]:
    return schedule.to_json() if isinstance(schedule, Schedule) else schedule


def _step(action: Action, *, dry_run: bool, **which: object) -> Ask[JobStepReport]:
    return Ask(read=as_model(JobStepReport), body={"action": action, "dry_run": dry_run, **which})
