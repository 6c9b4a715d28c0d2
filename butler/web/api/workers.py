"""``/workers``: who runs what."""

from butler.api_tokens import Role
from butler.storage.records import WorkerRow
from butler.web.models.system import ShownWorker, WorkerList
from butler.web.problems import NOT_FOUND, Problem
from butler.web.routes import Resource
from butler.web.services import WebDep

router = Resource("workers")


@router.route_for("GET", "", role=Role.VIEWER, whole_ledger=True)
async def find(web: WebDep) -> WorkerList:
    """Workers that are alive, and those lost or stopped within the last hour."""
    return WorkerList(workers=[_shown(each) for each in await web.call(web.butler.storage.workers)])


@router.route_for("GET", "/{worker_id}", role=Role.VIEWER, whole_ledger=True, answers=(404,))
async def get(worker_id: str, web: WebDep) -> ShownWorker:
    """One worker, by its id."""
    for each in await web.call(web.butler.storage.workers):
        if each.id == worker_id:
            return _shown(each)
    raise Problem(NOT_FOUND, f"no worker {worker_id} is alive, or was within the last hour")


def _shown(worker: WorkerRow) -> ShownWorker:
    return ShownWorker(
        id=worker.id,
        name=worker.name,
        state=worker.state,
        host=worker.host,
        pid=worker.pid,
        queues=list(worker.queues),
        tasks=list(worker.tasks),
        concurrency=worker.concurrency,
        running=worker.running,
        started_at=worker.started_at,
        heartbeat_at=worker.heartbeat_at,
        stopped_at=worker.stopped_at,
    )
