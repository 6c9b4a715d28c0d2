"""``/recurring-jobs``: making, changing and looking at them; `recurring_steps` has the rest."""

from functools import partial
from typing import Annotated, Any

from fastapi import Query, Request, Response
from pydantic import Field

from butler.api_tokens import Role
from butler.errors import StaleUpdate
from butler.recurring import FireOutcome, RecurringFire, RecurringJob
from butler.web.callers import Caller
from butler.web.job_scopes import check_may_be, is_visible, job_for
from butler.web.models.base import Moment
from butler.web.models.recurring import (
    JobChange,
    JobFilter,
    JobHistory,
    JobPage,
    JobStatistics,
    NewJob,
    Preview,
    PreviewOf,
    ShownJob,
    ShownJobHealth,
)
from butler.web.preconditions import etag_of, version_asked_for
from butler.web.routes import Resource, note
from butler.web.services import CallerDep, Web, WebDep

router = Resource("recurring-jobs")


class JobParameters(JobFilter):
    """Filters, and which page."""

    cursor: str | None = Field(None, max_length=200, description="The `next_cursor` before.")
    limit: int = Field(50, ge=1, le=500)


@router.route_for("GET", "", role=Role.VIEWER)
async def find(
    parameters: Annotated[JobParameters, Query()], web: WebDep, caller: CallerDep
) -> JobPage:
    """List recurring jobs by name; every filter must hold."""
    filters = parameters.model_dump(exclude_none=True)

    def step() -> JobPage:
        page = web.butler.recurring.list(**filters)
        jobs = [web.masks.job(job) for job in page.jobs if is_visible(web, caller, job)]
        return JobPage.model_validate({"jobs": jobs, "next_cursor": page.next_cursor})

    return await web.call(step)


@router.route_for("POST", "", role=Role.OPERATOR, status_code=201, answers=(409,))
async def create(
    new: NewJob, request: Request, response: Response, web: WebDep, caller: CallerDep
) -> ShownJob:
    """Make a recurring job; its request is checked against the task's type now."""

    def step() -> RecurringJob:
        options = {name: value for name, value in new.options().items() if value is not None}
        check_may_be(web, caller, task=new.task, options=options)
        return web.butler.recurring.create(
            new.name, new.task, new.schedule, request=new.request, **options
        )

    job = await web.call(step)
    note(request, target=job.id, name=job.name)
    response.headers["Location"] = f"{request.url.path}/{job.id}"
    return await shown(web, job, response)


@router.route_for("POST", "/preview", role=Role.VIEWER, changes=False)
async def preview_schedule(given: PreviewOf, web: WebDep) -> Preview:
    """The next fire times of a schedule that is saved nowhere."""
    recurring = web.butler.recurring
    fires = await web.call(lambda: recurring.preview(given.schedule, count=given.count))
    return Preview.model_validate({"fires": fires})


@router.route_for("GET", "/{job}", role=Role.VIEWER, answers=(404,))
async def get(job: str, response: Response, web: WebDep, caller: CallerDep) -> ShownJob:
    """One job, by its id or its name."""
    found = await web.call(lambda: job_for(web, caller, job))
    return await shown(web, found, response)


@router.route_for("PATCH", "/{job}", role=Role.OPERATOR, answers=(404, 409, 412, 428))
async def update(
    job: str,
    change: JobChange,
    request: Request,
    response: Response,
    web: WebDep,
    caller: CallerDep,
) -> ShownJob:
    """Change what is given and leave the rest; null goes back to the default.

    `If-Match` must hold the job's `ETag` (or `*`): of two people who edit it at once, the second
    is told.
    """
    version = version_asked_for(request)
    found = await web.call(partial(_updated, web, caller, job, change, version))
    note(request, target=found.id, name=found.name, fields=sorted(change.model_fields_set))
    return await shown(web, found, response)


@router.route_for("DELETE", "/{job}", role=Role.OPERATOR, status_code=204, answers=(404, 412))
async def delete(job: str, request: Request, web: WebDep, caller: CallerDep) -> None:
    """Remove a job and the record of its fires; its executions stay."""
    version = version_asked_for(request, needed=False)

    def step() -> RecurringJob:
        found = job_for(web, caller, job)
        if version not in (None, found.version):
            raise StaleUpdate(found.name, expected=version, found=found.version)
        web.butler.recurring.delete(found.id)
        return found

    found = await web.call(step)
    note(request, target=found.id, name=found.name)


@router.route_for("GET", "/{job}/history", role=Role.VIEWER, answers=(404,))
async def history(
    job: str,
    web: WebDep,
    caller: CallerDep,
    outcome: Annotated[list[FireOutcome], Query(max_length=5)] = [],  # noqa: B006 - FastAPI copies
    before: Annotated[Moment | None, Query(description="The last `fire_at` seen.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> JobHistory:
    """What became of its fire times, newest first."""

    def step() -> list[RecurringFire]:
        found = job_for(web, caller, job)
        return web.butler.recurring.history(found.id, outcome=outcome, before=before, limit=limit)

    fires = await web.call(step)
    more = fires[-1].fire_at if len(fires) == limit else None
    return JobHistory.model_validate({"fires": fires, "next_before": more})


@router.route_for("GET", "/{job}/stats", role=Role.VIEWER, answers=(404,))
async def statistics(job: str, web: WebDep, caller: CallerDep) -> JobStatistics:
    """What became of its newest 10,000 fires, and how long they took."""
    recurring = web.butler.recurring
    found = await web.call(lambda: recurring.statistics(job_for(web, caller, job).id))
    return JobStatistics.model_validate(found)


@router.route_for("GET", "/{job}/health", role=Role.VIEWER, answers=(404,))
async def health(job: str, web: WebDep, caller: CallerDep) -> ShownJobHealth:
    """How it does: late, broken, failing or slow; its last success, and what to do."""
    found = await web.call(lambda: web.butler.health.recurring(job_for(web, caller, job).id))
    return ShownJobHealth.model_validate(found)


@router.route_for("GET", "/{job}/preview", role=Role.VIEWER, answers=(404,))
async def preview(
    job: str,
    web: WebDep,
    caller: CallerDep,
    count: Annotated[int, Query(ge=1, le=100)] = 10,
) -> Preview:
    """Its next fire times, with what changes of clocks do to them."""

    def step() -> Any:
        return web.butler.recurring.preview(job_for(web, caller, job).id, count=count)

    return Preview.model_validate({"fires": await web.call(step)})


async def shown(web: Web, job: RecurringJob, response: Response) -> ShownJob:
    """The job masked, with its version as the answer's tag."""
    response.headers["ETag"] = etag_of(job.version)
    return ShownJob.model_validate(await web.call(lambda: web.masks.job(job)))


def _updated(
    web: Web, caller: Caller, job: str, change: JobChange, version: int | None
) -> RecurringJob:
    found = job_for(web, caller, job)
    options = change.options()
    after = {"queue": found.queue, "tags": found.tags} | options
    task = change.task or found.task
    check_may_be(web, caller, task=task, options=after)
    given: dict[str, Any] = {}
    if change.has("request"):
        given["request"] = web.masks.restored(task, change.request, old=found.request)
    return web.butler.recurring.update(
        found.id,
        version=version,
        task=change.task,
        schedule=change.schedule,
        **given,
        **options,
    )
