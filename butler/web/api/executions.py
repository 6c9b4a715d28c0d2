"""``/executions``: enqueue them, find them, look at them, steer them."""

from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from fastapi import Query, Request, Response

from butler.api_tokens import Role
from butler.errors import (
    ButlerError,
    ExecutionNotFound,
    InvalidOption,
    InvalidRequest,
    TaskNotBound,
    UnknownTask,
)
from butler.executions import Execution
from butler.handles import Handle
from butler.listing import ListFilters
from butler.producing import Order
from butler.scopes import Scope
from butler.web.callers import Caller
from butler.web.filters import ListParameters, listing, still_matches
from butler.web.models.executions import (
    Cancelled,
    Enqueued,
    EnqueuedMany,
    ExecutionDetail,
    ExecutionEvents,
    ExecutionPage,
    ExecutionSummary,
    LogPage,
    NewExecution,
    NewExecutions,
    ShownTree,
)
from butler.web.problems import FORBIDDEN, Problem, of_item
from butler.web.repeats import chosen_ids
from butler.web.routes import Resource, note
from butler.web.services import CallerDep, Web, WebDep
from butler.web.waits import shown_waits

router = Resource("executions")


@router.route_for("POST", "", role=Role.OPERATOR, status_code=202, answers=(409,), often=True)
async def enqueue(
    new: NewExecution, request: Request, response: Response, web: WebDep, caller: CallerDep
) -> Enqueued:
    """Enqueue a task. Once this answers, the execution is in the ledger and will run."""
    [handle] = await _enqueue([new], request, web, caller)
    note(request, target=handle.id, task=new.task)
    response.headers["Location"] = f"{request.scope['path']}/{handle.id}"
    return Enqueued.model_validate(handle)


@router.route_for("POST", "/batch", role=Role.OPERATOR, status_code=202, answers=(409,), often=True)
async def enqueue_many(
    many: NewExecutions, request: Request, web: WebDep, caller: CallerDep
) -> EnqueuedMany:
    """Enqueue up to 1,000 at once: all are checked before any is written, and all or none is."""
    handles = await _enqueue(many.executions, request, web, caller)
    note(request, count=len(handles), tasks=sorted({new.task for new in many.executions})[:20])
    return EnqueuedMany.model_validate({"executions": handles})


@router.route_for("GET", "", role=Role.VIEWER, answers=(404,), open_query="request.")
async def find(
    parameters: Annotated[ListParameters, Query()], request: Request, web: WebDep, caller: CallerDep
) -> ExecutionPage:
    """List executions, newest first; every filter must hold.

    Fields of the request are filtered by `request.<field>=<value>`, as in
    `request.to=ada@example.com` or `request.order.number=7`. They and `text` need a `task` or a
    time range. Filters that no index answers look at 20,000 rows a page at most: then the page is
    `truncated`, and its cursor goes on.
    """
    filters = listing(parameters, request.query_params, is_secret=web.masks.is_secret)
    return await web.call(lambda: _find(web, caller, filters))


@router.route_for("GET", "/{execution_id}", role=Role.VIEWER, answers=(404,))
async def get(execution_id: str, web: WebDep, caller: CallerDep) -> ExecutionDetail:
    """All that is known of an execution."""
    return await web.call(lambda: _detail(web, caller, read(web, caller, execution_id)))


@router.route_for("GET", "/{execution_id}/events", role=Role.VIEWER, answers=(404,))
async def events(execution_id: str, web: WebDep, caller: CallerDep) -> ExecutionEvents:
    """The progress it has reported, oldest first."""

    def step() -> list[Any]:
        secrets = web.masks.secrets(read(web, caller, execution_id))
        recorded = web.butler.storage.events(execution_id)
        return [
            replace(event, message=web.masks.text(event.message, secrets)) for event in recorded
        ]

    return ExecutionEvents.model_validate({"events": await web.call(step)})


@router.route_for("GET", "/{execution_id}/logs", role=Role.VIEWER, answers=(404,))
async def logs(
    execution_id: str,
    web: WebDep,
    caller: CallerDep,
    after: Annotated[int | None, Query(ge=0, le=2**62, description="The last `id` seen.")] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
) -> LogPage:
    """What it has logged, oldest first."""

    def step() -> list[Any]:
        secrets = web.masks.secrets(read(web, caller, execution_id))
        lines = web.butler.logs(execution_id, after=after, limit=limit)
        return web.masks.lines(lines, secrets)

    lines = await web.call(step)
    more = lines[-1].id if len(lines) == limit else None
    return LogPage.model_validate({"lines": lines, "next_after": more})


@router.route_for("GET", "/{execution_id}/children", role=Role.VIEWER, answers=(404,))
async def children(
    execution_id: str,
    web: WebDep,
    caller: CallerDep,
    cursor: Annotated[str | None, Query(max_length=36)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> ExecutionPage:
    """What it has enqueued, newest first."""

    def step() -> ExecutionPage:
        check_visible(web, caller, execution_id)
        filters: ListFilters = {"parent_id": execution_id, "cursor": cursor, "limit": limit}
        return _find(web, caller, filters)

    return await web.call(step)


@router.route_for(
    "GET", "/{execution_id}/tree", role=Role.VIEWER, answers=(404,), whole_ledger=True
)
async def tree(
    execution_id: str,
    web: WebDep,
    depth: Annotated[int, Query(ge=1, le=100)] = 10,
    size: Annotated[int, Query(ge=1, le=1_000)] = 200,
) -> ShownTree:
    """It, what it has enqueued, what those have enqueued, and so on."""
    found = await web.call(lambda: web.butler.tree(execution_id, depth=depth, size=size))
    return ShownTree.model_validate(found)


@router.route_for("POST", "/{execution_id}/cancel", role=Role.OPERATOR, answers=(404,))
async def cancel(execution_id: str, web: WebDep, caller: CallerDep) -> Cancelled:
    """End it if it waits; ask it to end if it runs."""

    def step() -> bool:
        check_visible(web, caller, execution_id)
        return web.butler.cancel(execution_id)

    return Cancelled(id=execution_id, cancelled=await web.call(step))


@router.route_for("POST", "/{execution_id}/retry", role=Role.OPERATOR, answers=(404, 409))
async def retry(execution_id: str, web: WebDep, caller: CallerDep) -> ExecutionDetail:
    """Open a failed or cancelled execution again: the same one, with one more attempt."""

    def step() -> ExecutionDetail:
        check_visible(web, caller, execution_id)
        web.butler.retry(execution_id)
        return _detail(web, caller, web.butler.get_or_raise(execution_id))

    return await web.call(step)


@router.route_for(
    "POST", "/{execution_id}/rerun", role=Role.OPERATOR, status_code=202, answers=(404, 409)
)
async def rerun(execution_id: str, request: Request, web: WebDep, caller: CallerDep) -> Enqueued:
    """Enqueue the same request once more, as a new execution, whatever became of this one."""

    def step() -> Any:
        check_visible(web, caller, execution_id)
        return web.butler.rerun(execution_id)

    enqueued = Enqueued.model_validate(await web.call(step))
    note(request, target=execution_id, made=enqueued.id)
    return enqueued


@router.route_for(
    "DELETE", "/{execution_id}", role=Role.OPERATOR, status_code=204, answers=(404, 409)
)
async def delete(execution_id: str, web: WebDep, caller: CallerDep) -> None:
    """Remove a finished execution with its history."""

    def step() -> None:
        check_visible(web, caller, execution_id)
        web.butler.delete(execution_id)

    await web.call(step)


def read(web: Web, caller: Caller, execution_id: str) -> Execution:
    """The execution, not masked yet; raises `ExecutionNotFound` also outside of the scope."""
    found = web.butler.get_or_raise(execution_id)
    if not caller.scope.holds(queue=found.queue, tags=found.tags):
        raise ExecutionNotFound(execution_id)
    return found


def check_visible(web: Web, caller: Caller, execution_id: str) -> None:
    """Raise `ExecutionNotFound` for what is outside of the caller's scope."""
    if not caller.scope.everything:
        read(web, caller, execution_id)


def _detail(web: Web, caller: Caller, execution: Execution) -> ExecutionDetail:
    """All of it, masked, with what it waits for; holders of slots only as the caller may see."""
    detail = ExecutionDetail.model_validate(web.masks.execution(execution))
    detail.waits_for = shown_waits(web, caller, [execution]).get(execution.id, [])
    return detail


def _find(web: Web, caller: Caller, filters: ListFilters) -> ExecutionPage:
    """The page, masked, without tracebacks.

    And without what was found by a secret, which would tell that it was right.
    """
    query = web.butler.query(**filters)
    page = web.butler.storage.find(replace(query, within=caller.scope, with_result=False))
    waits = shown_waits(web, caller, page.executions)
    masked = (web.masks.execution(each) for each in page.executions)
    shown = [ExecutionSummary.model_validate(each) for each in masked if still_matches(each, query)]
    for each in shown:
        each.waits_for = waits.get(each.id, [])
        if each.error is not None:
            each.error.traceback = None
    return ExecutionPage(executions=shown, next_cursor=page.next_cursor, truncated=page.truncated)


async def _enqueue(
    new: list[NewExecution], request: Request, web: Web, caller: Caller
) -> list[Handle[Any]]:
    ids = chosen_ids(request, len(new))
    # Equal names and options are looked at once: see `Placer._prepare`.
    names: dict[str, str] = {}
    options: dict[str, Any] = {}
    orders = []
    for each, id_ in zip(new, ids, strict=True):
        given = each.options()
        orders.append(
            Order(
                task=names.setdefault(each.task, each.task),
                request=each.request,
                options=options.setdefault(repr(given), given),
                execution_id=id_,
            )
        )
    if not caller.scope.everything:
        await web.call(partial(_check_scope, web, caller.scope, orders))
    # Middleware around enqueues looks at its request's own context.
    if len(orders) == 1 and not web.butler.wraps_enqueues:
        return [await web.enqueues.do(orders[0])]
    try:
        return await web.call(lambda: web.butler.place(orders))
    except (InvalidRequest, InvalidOption, UnknownTask, TaskNotBound) as error:
        if len(orders) > 1:
            await web.call(partial(_tell_which, web, orders))
        raise error


def _tell_which(web: Web, orders: list[Order]) -> None:
    """Raise a `Problem` about the first of many that cannot be enqueued, which it names."""
    for index, order in enumerate(orders):
        try:
            web.butler.drafts([order])
        except ButlerError as error:
            raise of_item(error, place=["executions", index]) from error


def _check_scope(web: Web, scope: Scope, orders: list[Order]) -> None:
    for draft in web.butler.drafts(orders):
        if not scope.holds(queue=draft.queue, tags=draft.tags):
            detail = f"{draft.task} on queue {draft.queue!r} is outside of the token's scope"
            raise Problem(FORBIDDEN, detail)
