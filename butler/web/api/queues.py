"""``/queues``: how they stand; pausing and limiting them."""

from collections.abc import Callable

from butler.api_tokens import Role
from butler.errors import did_you_mean
from butler.monitoring.queues import QueueStanding, queue_standings
from butler.web.callers import Caller
from butler.web.models.queues import NewLimit, QueueList, ShownQueue
from butler.web.problems import NOT_FOUND, Problem
from butler.web.routes import Resource
from butler.web.services import CallerDep, Web, WebDep

router = Resource("queues")


@router.route_for("GET", "", role=Role.VIEWER)
async def find(web: WebDep, caller: CallerDep) -> QueueList:
    """All queues, by name, and how each stands; numbers may be a second old."""
    standings = await _standings(web, caller)
    return QueueList(queues=[ShownQueue.of(each) for each in standings.values()])


@router.route_for("GET", "/{queue}", role=Role.VIEWER, answers=(404,))
async def get(queue: str, web: WebDep, caller: CallerDep) -> ShownQueue:
    """How one queue stands."""
    return await _shown(queue, web, caller)


@router.route_for("POST", "/{queue}/pause", role=Role.OPERATOR, answers=(404,))
async def pause(queue: str, web: WebDep, caller: CallerDep) -> ShownQueue:
    """Start nothing of this queue from now on; what runs goes on, what comes waits."""
    return await _changed(queue, web, caller, lambda: web.butler.queues.pause(queue))


@router.route_for("POST", "/{queue}/resume", role=Role.OPERATOR, answers=(404,))
async def resume(queue: str, web: WebDep, caller: CallerDep) -> ShownQueue:
    """Let a paused queue go on."""
    return await _changed(queue, web, caller, lambda: web.butler.queues.resume(queue))


@router.route_for("PUT", "/{queue}/limit", role=Role.OPERATOR, answers=(404,))
async def limit(queue: str, new: NewLimit, web: WebDep, caller: CallerDep) -> ShownQueue:
    """Allow this for all of the queue's executions together, whatever their task."""
    said = new.model_dump()
    return await _changed(queue, web, caller, lambda: web.butler.queues.limit(queue, **said))


@router.route_for("DELETE", "/{queue}/limit", role=Role.OPERATOR, answers=(404,))
async def unlimit(queue: str, web: WebDep, caller: CallerDep) -> ShownQueue:
    """Take back what was said of the queue as a whole."""
    return await _changed(queue, web, caller, lambda: web.butler.queues.limit(queue))


async def _changed(queue: str, web: Web, caller: Caller, change: Callable[[], None]) -> ShownQueue:
    await _shown(queue, web, caller)
    await web.call(change)
    return await _shown(queue, web, caller)


async def _shown(queue: str, web: Web, caller: Caller) -> ShownQueue:
    """The queue; a `Problem` for one that is not there, or outside of the caller's scope."""
    known = await _standings(web, caller)
    if queue not in known:
        raise Problem(NOT_FOUND, f"no queue named {queue!r}{did_you_mean(queue, known)}")
    return ShownQueue.of(known[queue])


async def _standings(web: Web, caller: Caller) -> dict[str, QueueStanding]:
    """Those that are wholly in the caller's scope, by name."""
    picture = await web.picture.get()
    standings = await web.call(lambda: queue_standings(web.butler, picture))
    return {each.name: each for each in standings if caller.scope.holds_all_of(each.name)}
