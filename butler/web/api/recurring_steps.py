"""Steering recurring jobs: pause, resume, trigger, and one step for many."""

from dataclasses import replace
from typing import Any

from fastapi import Request, Response

from butler.api_tokens import Role
from butler.errors import RecurringJobNotFound
from butler.recurring import RecurringJob
from butler.recurring.bulk import BulkReport
from butler.web.api.recurring_jobs import shown
from butler.web.callers import Caller
from butler.web.job_scopes import is_visible, job_for
from butler.web.models.executions import Enqueued
from butler.web.models.recurring import JobSelection, JobStepReport, ShownJob, Trigger
from butler.web.problems import FORBIDDEN, FieldError, Problem, invalid
from butler.web.routes import Resource, note
from butler.web.services import CallerDep, Web, WebDep

router = Resource("recurring-jobs")


@router.route_for("POST", "/{job}/pause", role=Role.OPERATOR, answers=(404, 412))
async def pause(
    job: str, request: Request, response: Response, web: WebDep, caller: CallerDep
) -> ShownJob:
    """Fire no more until it is resumed; what runs goes on."""
    recurring = web.butler.recurring
    found = await web.call(lambda: recurring.pause(job_for(web, caller, job).id))
    note(request, target=found.id, name=found.name)
    return await shown(web, found, response)


@router.route_for("POST", "/{job}/resume", role=Role.OPERATOR, answers=(404, 412))
async def resume(
    job: str, request: Request, response: Response, web: WebDep, caller: CallerDep
) -> ShownJob:
    """Fire again, from now on."""
    recurring = web.butler.recurring
    found = await web.call(lambda: recurring.resume(job_for(web, caller, job).id))
    note(request, target=found.id, name=found.name)
    return await shown(web, found, response)


@router.route_for("POST", "/{job}/trigger", role=Role.OPERATOR, status_code=202, answers=(404, 409))
async def trigger(
    job: str, request: Request, web: WebDep, caller: CallerDep, given: Trigger | None = None
) -> Enqueued:
    """Run it now, also when it is paused, perhaps with another request."""

    def step() -> tuple[RecurringJob, Any]:
        found = job_for(web, caller, job)
        if given is None or "request" not in given.model_fields_set:
            return found, web.butler.recurring.trigger(found.id)
        return found, web.butler.recurring.trigger(found.id, given.request)

    found, handle = await web.call(step)
    note(request, target=found.id, name=found.name, made=handle.id)
    return Enqueued.model_validate(handle)


@router.route_for("POST", "/bulk", role=Role.OPERATOR)
async def bulk(
    selection: JobSelection, request: Request, web: WebDep, caller: CallerDep
) -> JobStepReport:
    """Pause, resume, trigger or delete many jobs; what fails for one stops no other."""
    given = None
    if selection.filter is not None:
        given = selection.filter.model_dump(exclude_defaults=True)
    if (selection.jobs is None) == (not given):
        wanted = "give either jobs, or a filter with at least one field"
        raise invalid([FieldError(loc=["body"], msg=wanted)])
    report = await web.call(lambda: _report(web, caller, selection, given or {}))
    note(request, action=selection.action, dry_run=report.dry_run, done=len(report.done))
    return JobStepReport.model_validate(report)


def _report(web: Web, caller: Caller, selection: JobSelection, given: dict[str, Any]) -> BulkReport:
    recurring, dry_run = web.butler.recurring, selection.dry_run
    if caller.scope.everything:
        return recurring.bulk(selection.action, jobs=selection.jobs, dry_run=dry_run, **given)
    if selection.jobs is None:
        detail = "a token with a scope names its jobs, and does not filter them"
        raise Problem(FORBIDDEN, detail)
    found = {name: recurring.find(name) for name in selection.jobs}
    visible = {n: job.id for n, job in found.items() if job and is_visible(web, caller, job)}
    hidden = {n: str(RecurringJobNotFound(n)) for n in found if n not in visible}
    report = recurring.bulk(selection.action, jobs=visible.values(), dry_run=dry_run)
    return replace(report, failed=report.failed | hidden)
