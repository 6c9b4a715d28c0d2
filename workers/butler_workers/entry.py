"""The function that every execution's RQ job names: how a plain ``rq worker`` runs Butler's work.

``butler-worker`` never calls it; it reads the id and claims in the ledger. A plain RQ worker (fork,
spawn or simple) imports this module in its work-horse, which needs to know where the Butler is:

    BUTLER_APP=shop.main:butler rq worker default
"""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING

from rq import get_current_job

from butler.app_loading import load_app
from butler.errors import ButlerError, SettingsError, StorageUnavailable
from butler.ids import new_id
from butler.queues import WireKeys, as_text, wire_errors
from butler.settings import load_settings
from butler.turns import Turns
from butler_workers.guests import Guest, mute

if TYPE_CHECKING:
    from rq.job import Job

    from butler.app import Butler

# An outage of the ledger is waited for; a longer one is left to the scheduler, which pushes again.
LEDGER_PATIENCE_S = 60.0
LEDGER_RETRY_S = 0.5


def run(execution_id: str) -> None:
    """Run one execution, if the ledger lets this process have it; called by RQ's workers only.

    How it went stands in the ledger. Returns normally also when the execution is over, cancelled,
    or somebody else's. Raises `SettingsError` when ``BUTLER_APP`` is not set, and `ButlerError`
    when the ledger is away or another one: RQ then shows the job as failed, and the scheduler of
    its ledger pushes it again.
    """
    job = get_current_job()
    if job is None:
        raise ButlerError(
            f"{__name__}.run is called by RQ's workers for a job they have popped; to run an "
            "execution yourself enqueue it, or use Butler.in_memory() in a test"
        )
    # Before anything that takes long: an order to stop may come while the application is imported.
    worker_id = new_id()
    connection = job.connection
    # The one that RQ took may have been the only one that lay on the list.
    Turns(connection).deal(job.origin, 0)
    connection.hset(WireKeys.guests, worker_id, execution_id)
    try:
        butler = _butler()
        _check_ledger(butler, execution_id)
        guest = Guest(
            butler,
            worker_id=worker_id,
            queue=_queue_of(job),
            rq_worker=job.worker_name or "",
        )
        _start(guest)
    except BaseException:
        connection.hdel(WireKeys.guests, worker_id)
        raise
    mute(job)
    guest.run(execution_id, job.origin)


def _butler() -> Butler:
    settings = load_settings()
    if settings.app is None:
        raise SettingsError(
            "BUTLER_APP is not set, so this RQ worker does not know the Butler whose executions "
            "it took: start it with BUTLER_APP=module:name (and BUTLER_APP_DIR=folder, when the "
            "module is not in the current one), or serve this queue with butler-worker only"
        )
    return _load(settings.app, settings.app_dir)


@cache
def _load(target: str, app_dir: str | None) -> Butler:
    return load_app(target, app_dir)


def _check_ledger(butler: Butler, execution_id: str) -> None:
    with wire_errors("look at a job"):
        ledger = butler.redis.hget(WireKeys.job(execution_id), "ledger")
    if ledger is not None and as_text(ledger) != butler.wire.ledger_id:
        raise ButlerError(
            f"execution {execution_id} belongs to the ledger {as_text(ledger)}, and the Butler "
            f"at BUTLER_APP keeps the ledger {butler.wire.ledger_id}: two applications share this "
            "queue; give each its own queues or its own Redis database"
        )


def _start(guest: Guest) -> None:
    deadline = time.monotonic() + LEDGER_PATIENCE_S
    while True:
        try:
            guest.start()
        except StorageUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(LEDGER_RETRY_S)
        else:
            return


def _queue_of(job: Job) -> str:
    return str(job.origin).removesuffix(".high").removesuffix(".low")
