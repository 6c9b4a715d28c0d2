"""One step for many executions: ``POST /executions/cancel``, ``retry`` and ``delete``."""

from dataclasses import replace
from typing import Any

from fastapi import Request

from butler.api_tokens import Role
from butler.matching import StepAction, StepReport, step_for_ids, step_for_matches
from butler.web.callers import Caller
from butler.web.filters import check_selection, filters_of
from butler.web.models.executions import BulkStep, Selection
from butler.web.routes import Resource, note
from butler.web.services import CallerDep, Web, WebDep

router = Resource("executions")


@router.route_for("POST", "/cancel", role=Role.OPERATOR, answers=(404,))
async def cancel_many(
    selection: Selection, request: Request, web: WebDep, caller: CallerDep
) -> BulkStep:
    """Cancel those with these `ids`, or all that `filter` lets through; `dry_run` counts first."""
    return await _step("cancel", selection, request, web, caller)


@router.route_for("POST", "/retry", role=Role.OPERATOR, answers=(404,))
async def retry_many(
    selection: Selection, request: Request, web: WebDep, caller: CallerDep
) -> BulkStep:
    """Retry those with these `ids`, or all that `filter` lets through; `dry_run` counts first."""
    return await _step("retry", selection, request, web, caller)


@router.route_for("POST", "/delete", role=Role.OPERATOR, answers=(404,))
async def delete_many(
    selection: Selection, request: Request, web: WebDep, caller: CallerDep
) -> BulkStep:
    """Delete those with these `ids`, or all that `filter` lets through; `dry_run` counts first."""
    return await _step("delete", selection, request, web, caller)


async def _step(
    action: StepAction, selection: Selection, request: Request, web: Web, caller: Caller
) -> BulkStep:
    check_selection(selection.ids, selection.filter)
    report = await web.call(lambda: _report(action, selection, web, caller))
    details: dict[str, Any] = {
        "matched": report.matched,
        "changed": report.changed,
        "dry_run": report.dry_run,
    }
    if selection.filter is not None:
        details["filter"] = selection.filter.model_dump(mode="json", exclude_defaults=True)
    note(request, **details)
    return BulkStep.model_validate(report)


def _report(action: StepAction, selection: Selection, web: Web, caller: Caller) -> StepReport:
    if selection.filter is None:
        ids = _visible(web, caller, selection.ids or [])
        report = step_for_ids(web.butler, action, ids, dry_run=selection.dry_run)
        return _with_unknown(report, len(selection.ids or []) - len(ids))
    query = web.butler.query(**filters_of(selection.filter), cursor=selection.cursor)
    return step_for_matches(
        web.butler,
        action,
        replace(query, within=caller.scope),
        limit=selection.limit,
        dry_run=selection.dry_run,
    )


def _visible(web: Web, caller: Caller, ids: list[str]) -> list[str]:
    """Those that exist for the caller, each once."""
    known = list(dict.fromkeys(ids))
    if caller.scope.everything:
        return known
    standings = web.butler.storage.standings(known)
    within = {s.id for s in standings if caller.scope.holds(queue=s.queue, tags=s.tags)}
    return [id_ for id_ in known if id_ in within]


def _with_unknown(report: StepReport, hidden: int) -> StepReport:
    """What is outside of the scope does not exist; a doubled id is not there twice."""
    if not hidden:
        return report
    unknown = report.unchanged.get("unknown", 0) + hidden
    unchanged = report.unchanged | {"unknown": unknown}
    return replace(report, matched=report.matched + hidden, unchanged=unchanged)
