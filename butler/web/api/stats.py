"""``/stats``: what ended lately, how, and how long it took; what fails."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import Query

from butler.api_tokens import Role
from butler.monitoring.stats import LAST_DAY, LAST_HOUR, Since
from butler.web.callers import Caller
from butler.web.models.stats import (
    ErrorList,
    ErrorsOf,
    QueueWindow,
    Series,
    SeriesOf,
    ShownErrorGroup,
    ShownSummary,
    StatsWindow,
    SummaryOf,
    Top,
    TopOf,
)
from butler.web.problems import FORBIDDEN, NOT_FOUND, FieldError, Problem, invalid
from butler.web.routes import Resource
from butler.web.services import CallerDep, WebDep

router = Resource("stats")


@router.route_for("GET", "/summary", role=Role.VIEWER, answers=(404,))
async def summary(
    of: Annotated[SummaryOf, Query()], web: WebDep, caller: CallerDep
) -> ShownSummary:
    """What ended in a window, of one task or queue or of all; exact at once."""
    window = _window(of, caller)
    found = await web.call(lambda: web.butler.stats.summary(task=of.task, **window))
    return ShownSummary.model_validate(found)


@router.route_for("GET", "/timeseries", role=Role.VIEWER, answers=(404,))
async def timeseries(of: Annotated[SeriesOf, Query()], web: WebDep, caller: CallerDep) -> Series:
    """A summary a minute, hour or day; at most 2,000."""
    window, step = _window(of, caller), of.step
    points = await web.call(lambda: web.butler.stats.timeseries(step=step, task=of.task, **window))
    return Series.model_validate({"points": points})


@router.route_for("GET", "/top", role=Role.VIEWER, answers=(404,))
async def top(of: Annotated[TopOf, Query()], web: WebDep, caller: CallerDep) -> Top:
    """The tasks or queues with the most run time, ends, failures, retries, or the longest waits."""
    window = _window(of, caller)
    rows = await web.call(
        lambda: web.butler.stats.top(by=of.by, order=of.order, limit=of.limit, **window)
    )
    return Top.model_validate({"rows": rows})


@router.route_for("GET", "/errors", role=Role.VIEWER, whole_ledger=True)
async def errors(of: Annotated[ErrorsOf, Query()], web: WebDep) -> ErrorList:
    """What attempts failed with, by type and place."""
    since = _since(of, LAST_DAY)

    def step() -> list[ShownErrorGroup]:
        found = web.butler.stats.errors(
            since=since, until=of.until, task=of.task, order=of.order, limit=of.limit
        )
        messages = web.masks.quoted([(group.execution_id, group.message) for group in found])
        shown = [ShownErrorGroup.model_validate(group) for group in found]
        for group, message in zip(shown, messages, strict=True):
            group.message = message
        return shown

    return ErrorList(errors=await web.call(step))


def _window(of: QueueWindow, caller: Caller) -> dict[str, Any]:
    return {"since": _since(of, LAST_HOUR), "until": of.until, "queue": _queue(of.queue, caller)}


def _since(of: StatsWindow, default: timedelta) -> Since:
    if of.last_s is None:
        return of.since or default
    if of.since is not None:
        message = "since and last_s exclude each other: both say where it begins"
        raise invalid([FieldError(loc=["query", "last_s"], msg=message)])
    return timedelta(seconds=of.last_s)


def _queue(asked: str | None, caller: Caller) -> str | None:
    """The queue to look at, None for all; statistics know queues, and no tags."""
    scope = caller.scope
    if scope.everything:
        return asked
    if scope.tags:
        detail = f"statistics are not kept by tag, and {caller.name!r} is bound to tags"
        raise Problem(FORBIDDEN, detail)
    if asked is None and len(scope.queues) > 1:
        names = ", ".join(sorted(scope.queues))
        raise Problem(FORBIDDEN, f"name one of your queues (queue=…): {names}")
    queue = asked or next(iter(scope.queues))
    if not scope.holds_all_of(queue):
        raise Problem(NOT_FOUND, f"no queue named {queue!r}")
    return queue
